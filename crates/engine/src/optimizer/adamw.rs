//! AdamW: two moments of each trained tensor.

use serde::Deserialize;
use tunesmith_ops::{AdamWStep, AdamWTensor, Backend, Result};

use super::slot::Slot;
use super::trained::Trained;
use crate::internal::internal;

/// Constants of AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdamWOptions {
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

impl Default for AdamWOptions {
    /// torch.optim.AdamW's constants.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl AdamWOptions {
    /// First and second moment.
    pub(super) const SLOTS: [Slot; 2] = [Slot::float32("exp_avg"), Slot::float32("exp_avg_sq")];

    pub(super) fn step<B: Backend>(
        &self,
        backend: &B,
        step: u64,
        norm: &B::Norm,
        tensors: Vec<Trained<'_, B::Buffer>>,
    ) -> Result<()> {
        let Self { beta1, beta2, epsilon } = *self;
        let mut tensors = tensors.into_iter().map(tensor).collect::<Result<Vec<_>>>()?;
        backend.adamw(&AdamWStep { step, beta1, beta2, epsilon }, norm, &mut tensors)
    }
}

fn tensor<T>(trained: Trained<'_, T>) -> Result<AdamWTensor<'_, T>> {
    let Ok([first_moment, second_moment]) = <[_; 2]>::try_from(trained.slots) else {
        return Err(internal("adamw", "two slots"));
    };
    Ok(AdamWTensor {
        parameter: trained.parameter,
        gradient: trained.gradient,
        first_moment,
        second_moment,
        learning_rate: trained.rate,
        weight_decay: trained.decay,
    })
}
