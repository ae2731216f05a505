//! Benchmark of `sgd`, on an trained.

use tunesmith_ops::{Backend, Result, SgdStep, SgdTensor};

use crate::bench::{Bench, Work};

/// Times one step with momentum.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !bench.wants("sgd") {
        return Ok(());
    }
    let (backend, mut trained) = (bench.backend, bench.trained(1)?);
    let step = SgdStep { step: 2, momentum: 0.9, dampening: 0.0, nesterov: false };
    bench.time("sgd", Work::Bytes(5 * 4 * trained.elements), || {
        let tensors = trained.tensors.iter_mut().map(|tensor| SgdTensor {
            parameter: tensor.parameter.view_mut(),
            gradient: tensor.gradient.view(),
            momentum_buffer: tensor.states.first_mut().map(|state| state.view_mut()),
            learning_rate: 1e-4,
            weight_decay: 0.0,
        });
        backend.sgd(&step, &trained.norm, &mut tensors.collect::<Vec<_>>())
    })
}
