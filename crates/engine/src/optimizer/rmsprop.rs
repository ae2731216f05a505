//! RMSprop: a second moment of each trained tensor, with a mean and a momentum buffer where they are asked for.

use serde::Deserialize;
use tunesmith_ops::ElementwiseRule;

use super::slot::Slot;

/// Constants of `torch.optim.RMSprop`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RmsPropOptions {
    /// What is kept of the second moment.
    pub alpha: f64,
    /// Added to its root.
    pub epsilon: f64,
    /// What is kept of the momentum buffer; 0 keeps no buffer.
    pub momentum: f64,
    /// The second moment is taken about the mean.
    pub centered: bool,
}

impl RmsPropOptions {
    pub(super) fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::float32("square_avg")];
        slots.extend((self.momentum != 0.0).then_some(Slot::float32("momentum_buffer")));
        slots.extend(self.centered.then_some(Slot::float32("grad_avg")));
        slots
    }

    /// The rule of a step.
    pub(super) fn rule(&self) -> ElementwiseRule {
        let Self { alpha, epsilon, momentum, centered } = *self;
        ElementwiseRule::RmsProp { alpha, epsilon, momentum, centered }
    }
}
