//! What optimizers of eight bits have in common.

use tunesmith_ops::{Backend, BlockwiseRule, BlockwiseTensor, Quantized, Result};

use super::parameters::ParameterSpec;
use super::trained::Trained;
use crate::internal::internal;

/// Tensors of fewer elements keep their states in float32 (bitsandbytes' `min_8bit_size`).
const SMALL: usize = 4096;

/// Whether a tensor keeps its states in float32.
pub(super) fn is_small(spec: &ParameterSpec) -> bool {
    spec.len() < SMALL
}

/// A step of tensors whose slots are codes and scales in turn.
pub(super) fn step_quantized<B: Backend>(
    backend: &B,
    rule: &BlockwiseRule,
    step: u64,
    norm: &B::Norm,
    tensors: Vec<Trained<'_, B::Buffer>>,
) -> Result<()> {
    let mut tensors = tensors.into_iter().map(tensor).collect::<Result<Vec<_>>>()?;
    backend.blockwise_step(rule, step, norm, &mut tensors)
}

fn tensor<T>(trained: Trained<'_, T>) -> Result<BlockwiseTensor<'_, T>> {
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
