//! SGD with momentum: one buffer of each trained tensor, or none.

use serde::Deserialize;
use tunesmith_ops::{Backend, Result, SgdStep, SgdTensor};

use super::slot::Slot;
use super::step::Step;
use super::trained::Trained;

/// Constants of `torch.optim.SGD`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SgdOptions {
    /// Share of the buffer that is kept; 0 keeps no buffer.
    pub momentum: f64,
    /// Share of the gradient that does not enter the buffer.
    pub dampening: f64,
    /// The step looks ahead along the buffer.
    pub nesterov: bool,
}

impl SgdOptions {
    /// The buffer, where there is momentum.
    pub(super) fn slots(&self) -> Vec<Slot> {
        if self.momentum == 0.0 { Vec::new() } else { vec![Slot::float32("momentum_buffer")] }
    }

    pub(super) fn step<B: Backend>(&self, at: &Step<'_, B>, tensors: Vec<Trained<'_, B::Buffer>>) -> Result<()> {
        let Self { momentum, dampening, nesterov } = *self;
        let mut tensors: Vec<SgdTensor<'_, B::Buffer>> = tensors.into_iter().map(tensor).collect();
        at.backend.sgd(&SgdStep { step: at.number, momentum, dampening, nesterov }, at.norm, &mut tensors)
    }
}

fn tensor<T>(trained: Trained<'_, T>) -> SgdTensor<'_, T> {
    SgdTensor {
        parameter: trained.parameter,
        gradient: trained.gradient,
        momentum_buffer: trained.slots.into_iter().next(),
        learning_rate: trained.rate,
        weight_decay: trained.decay,
    }
}
