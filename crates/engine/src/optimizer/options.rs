//! Optimizers by name, with their constants: what crosses from TypeScript, and the one place that knows which there are.

use serde::Deserialize;
use tunesmith_ops::{Backend, Result};

use super::adafactor::AdafactorOptions;
use super::adagrad::AdagradOptions;
use super::adamw::AdamWOptions;
use super::ademamix::AdEmaMixOptions;
use super::lion::LionOptions;
use super::lora_fa::LoraFaOptions;
use super::muon::MuonOptions;
use super::parameters::{ParameterSpec, Parameters};
use super::rmsprop::RmsPropOptions;
use super::schedule_free::ScheduleFreeOptions;
use super::sgd::SgdOptions;
use super::slot::Slot;
use super::step::{Step, is_small};
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
    /// Adafactor.
    Adafactor(AdafactorOptions),
    /// Muon for the matrices of hidden layers, AdamW for the rest.
    Muon(MuonOptions),
    /// LoRA-FA.
    LoraFa(LoraFaOptions),
}

impl OptimizerOptions {
    /// What is kept of a trained tensor.
    pub fn slots(&self, spec: &ParameterSpec) -> Vec<Slot> {
        match self {
            Self::AdamW8bit(_) if !is_small(spec) => AdamWOptions::slots_8bit(),
            Self::AdamW(_) | Self::AdamW8bit(_) => AdamWOptions::SLOTS.to_vec(),
            Self::Sgd(options) => options.slots(),
            Self::Lion8bit(_) if !is_small(spec) => LionOptions::SLOTS_8BIT.to_vec(),
            Self::Lion(_) | Self::Lion8bit(_) => LionOptions::SLOTS.to_vec(),
            Self::ScheduleFree(_) => ScheduleFreeOptions::SLOTS.to_vec(),
            Self::RmsProp(options) => options.slots(),
            Self::Adagrad(_) => AdagradOptions::SLOTS.to_vec(),
            Self::AdEmaMix(_) => AdEmaMixOptions::SLOTS.to_vec(),
            Self::Adafactor(options) => options.slots(spec),
            Self::Muon(_) => MuonOptions::slots(spec),
            Self::LoraFa(_) => LoraFaOptions::slots(spec),
        }
    }

    /// Whether a tensor that has a gradient is changed by a step, and counts for the norm.
    pub fn trains(&self, spec: &ParameterSpec) -> bool {
        !(matches!(self, Self::LoraFa(_)) && LoraFaOptions::is_fixed(spec))
    }

    /// What the gradients of tensors are multiplied with, by their numbers; from values that no step changes.
    ///
    /// # Errors
    /// `ArgumentInvalid` for tensors that the optimizer is not for; whatever the backend fails with.
    pub(super) fn conditioners<B: Backend>(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
    ) -> Result<Vec<Option<B::Buffer>>> {
        match self {
            Self::LoraFa(_) => LoraFaOptions::conditioners(backend, parameters),
            _ => Ok(parameters.ids().map(|_| None).collect()),
        }
    }

    /// Takes a step. Nothing changes where the norm is not finite.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub(super) fn step<B: Backend>(&self, at: &Step<'_, B>, tensors: Vec<Trained<'_, B::Buffer>>) -> Result<()> {
        match self {
            Self::AdamW(options) => options.step(at, tensors),
            Self::AdamW8bit(options) => {
                let (small, large) = by_size(tensors);
                options.step(at, small)?;
                at.in_eight_bits(&options.rule_8bit(), large)
            }
            Self::Sgd(options) => options.step(at, tensors),
            Self::Lion(options) => at.by_rule(&options.rule(), tensors),
            Self::Lion8bit(options) => {
                let (small, large) = by_size(tensors);
                at.by_rule(&options.rule(), small)?;
                at.in_eight_bits(&options.rule_8bit(), large)
            }
            Self::ScheduleFree(options) => at.by_rule(&options.rule(), tensors),
            Self::RmsProp(options) => at.by_rule(&options.rule(), tensors),
            Self::Adagrad(options) => at.by_rule(&options.rule(), tensors),
            Self::AdEmaMix(options) => at.by_rule(&options.rule(at.number), tensors),
            Self::Adafactor(options) => options.step(at, tensors),
            Self::Muon(options) => options.step(at, tensors),
            Self::LoraFa(options) => options.step(at, tensors),
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

/// Tensors that keep their states in float32, and the others.
fn by_size<T>(tensors: Vec<Trained<'_, T>>) -> (Vec<Trained<'_, T>>, Vec<Trained<'_, T>>) {
    tensors.into_iter().partition(|trained| is_small(trained.spec))
}
