//! Benchmark of `blockwise_step`: an adapter of rank 16 in 448 tensors, as seven linear layers in 32 blocks have them.

use tunesmith_ops::{BLOCK, Backend, BlockwiseRule, BlockwiseTensor, Clip, DType, Quantized, Result, ViewMut};

use crate::bench::{Bench, Work};

const RANK: usize = 16;
const TENSORS: usize = 448;

/// Times one step of AdamW and of Lion.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !bench.wants("blockwise_step") {
        return Ok(());
    }
    let sizes = bench.model.linears().into_iter().flat_map(|(_, n, k)| [RANK * k, RANK * n]);
    let lengths: Vec<usize> = sizes.cycle().take(TENSORS).collect();
    let backend = bench.backend;
    let mut tensors = Vec::new();
    for &len in &lengths {
        let zeros = || Ok((backend.zeros(DType::U8, len)?, backend.zeros(DType::F32, len.div_ceil(BLOCK))?));
        tensors.push((bench.floats(len, 1.0)?, bench.floats(len, 1.0)?, [zeros()?, zeros()?]));
    }
    let gradients: Vec<_> = tensors.iter().map(|(_, gradient, _)| gradient.view()).collect();
    let norm = backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &gradients)?;
    drop(gradients);
    let elements: usize = lengths.iter().sum();
    for (name, rule) in [
        ("blockwise_step adamw", BlockwiseRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }),
        ("blockwise_step lion", BlockwiseRule::Lion { beta1: 0.9, beta2: 0.99 }),
    ] {
        // Parameter twice, gradient once, each code twice.
        bench.time(name, Work::Bytes((12 + 2 * rule.states()) * elements), || {
            let views = tensors.iter_mut().map(|(parameter, gradient, states)| {
                let len = gradient.view().len;
                let quantized = states.iter_mut().take(rule.states()).map(|(codes, absmax)| Quantized {
                    codes: ViewMut::new(codes, 0, len),
                    absmax: ViewMut::new(absmax, 0, len.div_ceil(BLOCK)),
                });
                BlockwiseTensor {
                    states: quantized.collect(),
                    gradient: gradient.view(),
                    parameter: parameter.view_mut(),
                    learning_rate: 1e-4,
                    weight_decay: 0.0,
                }
            });
            backend.blockwise_step(&rule, 2, &norm, &mut views.collect::<Vec<_>>())
        })?;
    }
    Ok(())
}
