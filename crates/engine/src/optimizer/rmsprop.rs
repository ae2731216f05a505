//! RMSprop: a second moment of each trained tensor, with a mean and a momentum buffer where they are asked for.

use serde::Deserialize;
use tunesmith_ops::{Backend, ElementwiseRule, Result};

use super::elementwise::step_by_rule;
use super::slot::Slot;
use super::trained::Trained;

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

    pub(super) fn step<B: Backend>(
        &self,
        backend: &B,
        step: u64,
        norm: &B::Norm,
        tensors: Vec<Trained<'_, B::Buffer>>,
    ) -> Result<()> {
        let Self { alpha, epsilon, momentum, centered } = *self;
        let rule = ElementwiseRule::RmsProp { alpha, epsilon, momentum, centered };
        step_by_rule(backend, &rule, step, norm, tensors)
    }
}
