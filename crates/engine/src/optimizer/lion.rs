//! Lion: one average of each trained tensor, in float32 or in eight bits.

use serde::Deserialize;
use tunesmith_ops::{BlockwiseRule, ElementwiseRule};

use super::slot::Slot;

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

    /// The same in eight bits (bitsandbytes' names).
    pub(super) const SLOTS_8BIT: [Slot; 2] = Slot::eight_bits("state1", "absmax1");

    /// The rule of a step.
    pub(super) fn rule(&self) -> ElementwiseRule {
        let Self { beta1, beta2 } = *self;
        ElementwiseRule::Lion { beta1, beta2 }
    }

    /// The same in eight bits.
    pub(super) fn rule_8bit(&self) -> BlockwiseRule {
        let Self { beta1, beta2 } = *self;
        BlockwiseRule::Lion { beta1, beta2 }
    }
}
