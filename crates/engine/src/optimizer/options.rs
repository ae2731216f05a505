//! Optimizers by name, with their constants: what crosses from TypeScript, and the one place that knows which there are.

use serde::Deserialize;
use tunesmith_ops::{Backend, Result};

use super::adamw::AdamWOptions;
use super::sgd::SgdOptions;
use super::slot::Slot;
use super::trained::Trained;

/// An optimizer with its constants.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerOptions {
    /// AdamW.
    AdamW(AdamWOptions),
    /// Stochastic gradient descent with momentum.
    Sgd(SgdOptions),
}

impl OptimizerOptions {
    /// What is kept of each trained tensor.
    pub fn slots(&self) -> Vec<Slot> {
        match self {
            Self::AdamW(_) => AdamWOptions::SLOTS.to_vec(),
            Self::Sgd(options) => options.slots(),
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
            Self::Sgd(options) => options.step(backend, step, norm, tensors),
        }
    }
}
