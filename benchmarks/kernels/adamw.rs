//! Benchmark of `adamw`, on an trained.

use tunesmith_ops::{AdamWStep, AdamWTensor, Backend, Result};

use crate::bench::{Bench, Work};

/// Times one step.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !bench.wants("adamw") {
        return Ok(());
    }
    let (backend, mut trained) = (bench.backend, bench.trained(2)?);
    let step = AdamWStep { step: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    bench.time("adamw", Work::Bytes(7 * 4 * trained.elements), || {
        let tensors = trained.tensors.iter_mut().filter_map(|tensor| {
            let [first, second] = tensor.states.get_disjoint_mut([0, 1]).ok()?;
            Some(AdamWTensor {
                parameter: tensor.parameter.view_mut(),
                gradient: tensor.gradient.view(),
                first_moment: first.view_mut(),
                second_moment: second.view_mut(),
                learning_rate: 1e-4,
                weight_decay: 0.0,
            })
        });
        backend.adamw(&step, &trained.norm, &mut tensors.collect::<Vec<_>>())
    })
}
