//! Adagrad: the sum of squares of each trained tensor.

use serde::Deserialize;
use tunesmith_ops::ElementwiseRule;

use super::slot::Slot;

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

    /// The rule of a step.
    pub(super) fn rule(&self) -> ElementwiseRule {
        let Self { epsilon, lr_decay } = *self;
        ElementwiseRule::Adagrad { epsilon, lr_decay }
    }
}
