//! Optimizers by name, with their constants: what crosses from TypeScript, and the one place that knows which there are.

use serde::Deserialize;
use tunesmith_ops::{Backend, Result};

use super::adagrad::AdagradOptions;
use super::adamw::AdamWOptions;
use super::ademamix::AdEmaMixOptions;
use super::lion::LionOptions;
use super::parameters::ParameterSpec;
use super::rmsprop::RmsPropOptions;
use super::schedule_free::ScheduleFreeOptions;
use super::sgd::SgdOptions;
use super::slot::Slot;
use super::trained::Trained;

/// An optimizer with its constants.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerOptions {
    /// AdamW.
    AdamW(AdamWOptions),
    /// AdamW with its moments in eight bits.
    AdamW8bit(AdamWOptions),
    /// Stochastic gradient descent with momentum.
    Sgd(SgdOptions),
    /// Lion.
    Lion(LionOptions),
    /// Lion with its average in eight bits.
    Lion8bit(LionOptions),
    /// Schedule-free AdamW.
    ScheduleFree(ScheduleFreeOptions),
    /// `RMSprop`.
    RmsProp(RmsPropOptions),
    /// Adagrad.
    Adagrad(AdagradOptions),
    /// `AdEMAMix`.
    AdEmaMix(AdEmaMixOptions),
}

impl OptimizerOptions {
    /// What is kept of a trained tensor.
    pub fn slots(&self, spec: &ParameterSpec) -> Vec<Slot> {
        match self {
            Self::AdamW(_) => AdamWOptions::SLOTS.to_vec(),
            Self::AdamW8bit(_) => AdamWOptions::slots_of_8bit(spec),
            Self::Sgd(options) => options.slots(),
            Self::Lion(_) => LionOptions::SLOTS.to_vec(),
            Self::Lion8bit(_) => LionOptions::slots_of_8bit(spec),
            Self::ScheduleFree(_) => ScheduleFreeOptions::SLOTS.to_vec(),
            Self::RmsProp(options) => options.slots(),
            Self::Adagrad(_) => AdagradOptions::SLOTS.to_vec(),
            Self::AdEmaMix(_) => AdEmaMixOptions::SLOTS.to_vec(),
        }
    }

    /// Takes step number `step`, from 1. Nothing changes where the norm is not finite.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub(super) fn step<B: Backend>(
        &self,
        backend: &B,
        step: u64,
        norm: &B::Norm,
        tensors: Vec<Trained<'_, B::Buffer>>,
    ) -> Result<()> {
        match self {
            Self::AdamW(options) => options.step(backend, step, norm, tensors),
            Self::AdamW8bit(options) => options.step_8bit(backend, step, norm, tensors),
            Self::Sgd(options) => options.step(backend, step, norm, tensors),
            Self::Lion(options) => options.step(backend, step, norm, tensors),
            Self::Lion8bit(options) => options.step_8bit(backend, step, norm, tensors),
            Self::ScheduleFree(options) => options.step(backend, step, norm, tensors),
            Self::RmsProp(options) => options.step(backend, step, norm, tensors),
            Self::Adagrad(options) => options.step(backend, step, norm, tensors),
            Self::AdEmaMix(options) => options.step(backend, step, norm, tensors),
        }
    }

    /// The constants of a schedule-free optimizer; none of another one.
    pub fn schedule_free(&self) -> Option<&ScheduleFreeOptions> {
        match self {
            Self::ScheduleFree(options) => Some(options),
            _ => None,
        }
    }
}
