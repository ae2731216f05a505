//! A step of an optimizer: where and when it is taken, and the two ops that most optimizers take it by.

use tunesmith_ops::{Backend, BlockwiseRule, BlockwiseTensor, ElementwiseRule, Quantized, Result, StepTensor};

use super::parameters::ParameterSpec;
use super::trained::Trained;
use crate::internal::internal;

/// Tensors of fewer elements keep their states in float32 (bitsandbytes' `min_8bit_size`).
const SMALL: usize = 4096;

/// Whether a tensor keeps its states in float32 where others have eight bits.
pub(super) fn is_small(spec: &ParameterSpec) -> bool {
    spec.len() < SMALL
}

/// Where and when a step is taken.
pub(super) struct Step<'a, B: Backend> {
    /// What computes it.
    pub backend: &'a B,
    /// From 1.
    pub number: u64,
    /// Of the whole gradient; where it is not finite, nothing changes.
    pub norm: &'a B::Norm,
}

impl<B: Backend> Step<'_, B> {
    /// Steps tensors whose slots are the states that the rule uses, in its order.
    pub(super) fn by_rule(&self, rule: &ElementwiseRule, tensors: Vec<Trained<'_, B::Buffer>>) -> Result<()> {
        let mut tensors: Vec<_> = tensors.into_iter().map(|trained| step_tensor(rule, trained)).collect();
        self.backend.elementwise_step(rule, self.number, self.norm, &mut tensors)
    }

    /// Steps tensors whose slots are codes and scales in turn.
    pub(super) fn in_eight_bits(&self, rule: &BlockwiseRule, tensors: Vec<Trained<'_, B::Buffer>>) -> Result<()> {
        let mut tensors = tensors.into_iter().map(blockwise_tensor).collect::<Result<Vec<_>>>()?;
        self.backend.blockwise_step(rule, self.number, self.norm, &mut tensors)
    }
}

fn step_tensor<'a, T>(rule: &ElementwiseRule, trained: Trained<'a, T>) -> StepTensor<'a, T> {
    let mut slots = trained.slots.into_iter();
    StepTensor {
        parameter: trained.parameter,
        gradient: trained.gradient,
        states: rule.states().map(|used| if used { slots.next() } else { None }),
        learning_rate: trained.rate,
        weight_decay: trained.decay,
        average: trained.average,
    }
}

fn blockwise_tensor<T>(trained: Trained<'_, T>) -> Result<BlockwiseTensor<'_, T>> {
    let mut states = Vec::new();
    let mut slots = trained.slots.into_iter();
    while let Some(codes) = slots.next() {
        let absmax = slots.next().ok_or_else(|| internal("blockwise", "scales for every state"))?;
        states.push(Quantized { codes, absmax });
    }
    Ok(BlockwiseTensor {
        parameter: trained.parameter,
        gradient: trained.gradient,
        states,
        learning_rate: trained.rate,
        weight_decay: trained.decay,
    })
}
