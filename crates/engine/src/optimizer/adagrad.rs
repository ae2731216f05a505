//! Adagrad: the sum of squares of each trained tensor.

use serde::Deserialize;
use tunesmith_ops::{Backend, ElementwiseRule, Result};

use super::elementwise::step_by_rule;
use super::slot::Slot;
use super::trained::Trained;

/// Constants of `torch.optim.Adagrad`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdagradOptions {
    /// Added to the root of the sum.
    pub epsilon: f64,
    /// How fast the rate falls with the number of the step.
    pub lr_decay: f64,
}

impl AdagradOptions {
    /// Sum of squares.
    pub(super) const SLOTS: [Slot; 1] = [Slot::float32("sum")];

    pub(super) fn step<B: Backend>(
        &self,
        backend: &B,
        step: u64,
        norm: &B::Norm,
        tensors: Vec<Trained<'_, B::Buffer>>,
    ) -> Result<()> {
        let Self { epsilon, lr_decay } = *self;
        step_by_rule(backend, &ElementwiseRule::Adagrad { epsilon, lr_decay }, step, norm, tensors)
    }
}
