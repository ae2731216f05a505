//! Benchmark of `blockwise_step`, on an trained.

use tunesmith_ops::{BLOCK, Backend, BlockwiseRule, BlockwiseTensor, DType, Quantized, Result, ViewMut};

use crate::bench::{Bench, Work};

/// Times one step of AdamW and of Lion.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !["blockwise_step adamw", "blockwise_step lion"].iter().any(|case| bench.wants(case)) {
        return Ok(());
    }
    let (backend, mut trained) = (bench.backend, bench.trained(0)?);
    let mut states = Vec::new();
    for tensor in &trained.tensors {
        let len = tensor.gradient.view().len;
        let zeros = || Ok((backend.zeros(DType::U8, len)?, backend.zeros(DType::F32, len.div_ceil(BLOCK))?));
        states.push([zeros()?, zeros()?]);
    }
    for (name, rule) in [
        ("blockwise_step adamw", BlockwiseRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }),
        ("blockwise_step lion", BlockwiseRule::Lion { beta1: 0.9, beta2: 0.99 }),
    ] {
        // Parameter twice, gradient once, each code twice.
        bench.time(name, Work::Bytes((12 + 2 * rule.states()) * trained.elements), || {
            let tensors = trained.tensors.iter_mut().zip(&mut states).map(|(tensor, states)| {
                let len = tensor.gradient.view().len;
                let quantized = states.iter_mut().take(rule.states()).map(|(codes, absmax)| Quantized {
                    codes: ViewMut::new(codes, 0, len),
                    absmax: ViewMut::new(absmax, 0, len.div_ceil(BLOCK)),
                });
                BlockwiseTensor {
                    states: quantized.collect(),
                    gradient: tensor.gradient.view(),
                    parameter: tensor.parameter.view_mut(),
                    learning_rate: 1e-4,
                    weight_decay: 0.0,
                }
            });
            backend.blockwise_step(&rule, 2, &trained.norm, &mut tensors.collect::<Vec<_>>())
        })?;
    }
    Ok(())
}
