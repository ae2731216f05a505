//! Lion: one average of each trained tensor, in float32 or in eight bits.

use serde::Deserialize;
use tunesmith_ops::{Backend, BlockwiseRule, ElementwiseRule, Result};

use super::blockwise::{is_small, step_quantized};
use super::elementwise::step_by_rule;
use super::parameters::ParameterSpec;
use super::slot::Slot;
use super::trained::Trained;

/// Constants of Lion (Chen et al. 2023, arXiv:2302.06675).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LionOptions {
    /// Share of the average in the direction.
    pub beta1: f64,
    /// What is kept of the average.
    pub beta2: f64,
}

impl LionOptions {
    /// The average.
    pub(super) const SLOTS: [Slot; 1] = [Slot::float32("exp_avg")];

    /// The same in eight bits (bitsandbytes' names), small tensors in float32.
    pub(super) fn slots_of_8bit(spec: &ParameterSpec) -> Vec<Slot> {
        if is_small(spec) { Self::SLOTS.to_vec() } else { Slot::eight_bits("state1", "absmax1").to_vec() }
    }

    pub(super) fn step<B: Backend>(
        &self,
        backend: &B,
        step: u64,
        norm: &B::Norm,
        tensors: Vec<Trained<'_, B::Buffer>>,
    ) -> Result<()> {
        let Self { beta1, beta2 } = *self;
        step_by_rule(backend, &ElementwiseRule::Lion { beta1, beta2 }, step, norm, tensors)
    }

    pub(super) fn step_8bit<B: Backend>(
        &self,
        backend: &B,
        step: u64,
        norm: &B::Norm,
        tensors: Vec<Trained<'_, B::Buffer>>,
    ) -> Result<()> {
        let Self { beta1, beta2 } = *self;
        let (small, large) = tensors.into_iter().partition(|trained| is_small(trained.spec));
        self.step(backend, step, norm, small)?;
        step_quantized(backend, &BlockwiseRule::Lion { beta1, beta2 }, step, norm, large)
    }
}
