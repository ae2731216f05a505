//! Benchmark of `sgd`: an adapter of rank 16 in 448 tensors, as seven linear layers in 32 blocks have them.

use tunesmith_ops::{Backend, Clip, Result, SgdStep, SgdTensor};

use crate::bench::{Bench, Work};

const RANK: usize = 16;
const TENSORS: usize = 448;

/// Times one step with momentum.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !bench.wants("sgd") {
        return Ok(());
    }
    let sizes = bench.model.linears().into_iter().flat_map(|(_, n, k)| [RANK * k, RANK * n]);
    let lengths: Vec<usize> = sizes.cycle().take(TENSORS).collect();
    let mut tensors = Vec::new();
    for len in &lengths {
        tensors.push((bench.floats(*len, 1.0)?, bench.floats(*len, 1.0)?, bench.floats(*len, 1e-3)?));
    }
    let step = SgdStep { step: 2, momentum: 0.9, dampening: 0.0, nesterov: false };
    let backend = bench.backend;
    let gradients: Vec<_> = tensors.iter().map(|(_, gradient, _)| gradient.view()).collect();
    let norm = backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &gradients)?;
    drop(gradients);
    bench.time("sgd", Work::Bytes(5 * 4 * lengths.iter().sum::<usize>()), || {
        let views = tensors.iter_mut().map(|(parameter, gradient, buffer)| SgdTensor {
            parameter: parameter.view_mut(),
            gradient: gradient.view(),
            momentum_buffer: Some(buffer.view_mut()),
            learning_rate: 1e-4,
            weight_decay: 0.0,
        });
        backend.sgd(&step, &norm, &mut views.collect::<Vec<_>>())
    })
}
