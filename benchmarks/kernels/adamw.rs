//! Benchmark of `adamw`: the parameters of one adapted projection.

use tunesmith_ops::{AdamWStep, AdamWTensor, Backend, Clip, Result};

use crate::bench::{Bench, Work};

/// Times one step over as many parameters as the embedding table has columns times 4096.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let len = bench.model.hidden * 4096;
    let numbers = bench.inputs.uniform(len, 1.0);
    let stage = bench.stage();
    let (mut parameter, gradient) = (stage.floats(&numbers)?, stage.floats(&numbers)?);
    let (mut first, mut second) = (stage.floats(&vec![0.0; len])?, stage.floats(&vec![0.0; len])?);
    let step = AdamWStep { step: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let backend = bench.backend;
    let norm = backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &[gradient.view()])?;
    bench.time("adamw", Work::Bytes(7 * 4 * len), || {
        let tensor = AdamWTensor {
            parameter: parameter.view_mut(),
            gradient: gradient.view(),
            first_moment: first.view_mut(),
            second_moment: second.view_mut(),
            learning_rate: 1e-4,
            weight_decay: 0.0,
        };
        backend.adamw(&step, &norm, &mut [tensor])
    })
}
