//! Benchmark of `elementwise_step`: an adapter of rank 16 in 448 tensors, as seven linear layers in 32 blocks have them.

use tunesmith_ops::{Backend, Clip, ElementwiseRule, Result, StepTensor};

use crate::bench::{Bench, Work};

const RANK: usize = 16;
const TENSORS: usize = 448;

/// Times one step of Lion and of schedule-free AdamW.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !bench.wants("elementwise_step") {
        return Ok(());
    }
    let sizes = bench.model.linears().into_iter().flat_map(|(_, n, k)| [RANK * k, RANK * n]);
    let lengths: Vec<usize> = sizes.cycle().take(TENSORS).collect();
    let mut tensors = Vec::new();
    for len in &lengths {
        let (parameter, gradient) = (bench.floats(*len, 1.0)?, bench.floats(*len, 1.0)?);
        tensors.push((parameter, gradient, [bench.floats(*len, 1e-3)?, bench.constant(1e-6, *len)?]));
    }
    let backend = bench.backend;
    let gradients: Vec<_> = tensors.iter().map(|(_, gradient, _)| gradient.view()).collect();
    let norm = backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &gradients)?;
    drop(gradients);
    let elements: usize = lengths.iter().sum();
    for (name, rule, streams) in [
        ("elementwise_step lion", ElementwiseRule::Lion { beta1: 0.9, beta2: 0.99 }, 5),
        (
            "elementwise_step schedule-free",
            ElementwiseRule::ScheduleFreeAdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
            7,
        ),
    ] {
        let [_, second, _] = rule.states();
        bench.time(name, Work::Bytes(streams * 4 * elements), || {
            let views = tensors.iter_mut().map(|(parameter, gradient, [a, b])| StepTensor {
                parameter: parameter.view_mut(),
                gradient: gradient.view(),
                states: [Some(a.view_mut()), second.then(|| b.view_mut()), None],
                learning_rate: 1e-4,
                weight_decay: 0.0,
                average: 0.1,
            });
            backend.elementwise_step(&rule, 2, &norm, &mut views.collect::<Vec<_>>())
        })?;
    }
    Ok(())
}
