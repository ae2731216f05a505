//! Benchmark of `adamw`: an adapter of rank 16 in 448 tensors, as seven linear layers in 32 blocks have them.

use tunesmith_ops::{AdamWStep, AdamWTensor, Backend, Clip, Result};

use crate::bench::{Bench, Work};

const RANK: usize = 16;
const TENSORS: usize = 448;

/// Times one step.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !bench.wants("adamw") {
        return Ok(());
    }
    let sizes = bench.model.linears().into_iter().flat_map(|(_, n, k)| [RANK * k, RANK * n]);
    let lengths: Vec<usize> = sizes.cycle().take(TENSORS).collect();
    let mut tensors = Vec::new();
    for len in &lengths {
        let (parameter, gradient) = (bench.floats(*len, 1.0)?, bench.floats(*len, 1.0)?);
        tensors.push((parameter, gradient, bench.floats(*len, 1e-3)?, bench.constant(1e-6, *len)?));
    }
    let step = AdamWStep { step: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let backend = bench.backend;
    let gradients: Vec<_> = tensors.iter().map(|(_, gradient, ..)| gradient.view()).collect();
    let norm = backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &gradients)?;
    drop(gradients);
    bench.time("adamw", Work::Bytes(7 * 4 * lengths.iter().sum::<usize>()), || {
        let tensors = tensors.iter_mut().map(|(parameter, gradient, first, second)| AdamWTensor {
            parameter: parameter.view_mut(),
            gradient: gradient.view(),
            first_moment: first.view_mut(),
            second_moment: second.view_mut(),
            learning_rate: 1e-4,
            weight_decay: 0.0,
        });
        backend.adamw(&step, &norm, &mut tensors.collect::<Vec<_>>())
    })
}
