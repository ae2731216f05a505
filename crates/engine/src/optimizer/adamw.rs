//! AdamW: two moments of each trained tensor, in float32 or in eight bits.

use serde::Deserialize;
use tunesmith_ops::{AdamWStep, AdamWTensor, Backend, BlockwiseRule, Result};

use super::slot::Slot;
use super::step::Step;
use super::trained::{Trained, exactly};

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

    /// The same in eight bits (bitsandbytes' names).
    pub(super) fn slots_8bit() -> Vec<Slot> {
        [Slot::eight_bits("state1", "absmax1"), Slot::eight_bits("state2", "absmax2")].concat()
    }

    pub(super) fn step<B: Backend>(&self, at: &Step<'_, B>, tensors: Vec<Trained<'_, B::Buffer>>) -> Result<()> {
        let Self { beta1, beta2, epsilon } = *self;
        let mut tensors = tensors.into_iter().map(tensor).collect::<Result<Vec<_>>>()?;
        at.backend.adamw(&AdamWStep { step: at.number, beta1, beta2, epsilon }, at.norm, &mut tensors)
    }

    /// The rule of a step in eight bits.
    pub(super) fn rule_8bit(&self) -> BlockwiseRule {
        let Self { beta1, beta2, epsilon } = *self;
        BlockwiseRule::AdamW { beta1, beta2, epsilon }
    }
}

fn tensor<T>(trained: Trained<'_, T>) -> Result<AdamWTensor<'_, T>> {
    let [first_moment, second_moment] = exactly("adamw", trained.slots)?;
    Ok(AdamWTensor {
        parameter: trained.parameter,
        gradient: trained.gradient,
        first_moment,
        second_moment,
        learning_rate: trained.rate,
        weight_decay: trained.decay,
    })
}

#[cfg(test)]
mod tests {
    use tunesmith_ops::BlockwiseRule;

    use super::AdamWOptions;

    // An epsilon that is small everywhere shows in no trajectory.
    #[test]
    fn the_rule_in_eight_bits_has_the_constants_of_the_options() {
        let options = AdamWOptions { beta1: 0.5, beta2: 0.25, epsilon: 0.125 };
        assert_eq!(options.rule_8bit(), BlockwiseRule::AdamW { beta1: 0.5, beta2: 0.25, epsilon: 0.125 });
    }
}
