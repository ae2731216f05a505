//! Benchmark of `elementwise_step`, on an trained.

use tunesmith_ops::{Backend, ElementwiseRule, Result, StepTensor};

use crate::bench::{Bench, Work};

/// Times one step of Lion and of schedule-free AdamW.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !["elementwise_step lion", "elementwise_step schedule-free"].iter().any(|case| bench.wants(case)) {
        return Ok(());
    }
    let (backend, mut trained) = (bench.backend, bench.trained(2)?);
    for (name, rule, streams) in [
        ("elementwise_step lion", ElementwiseRule::Lion { beta1: 0.9, beta2: 0.99 }, 5),
        (
            "elementwise_step schedule-free",
            ElementwiseRule::ScheduleFreeAdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
            7,
        ),
    ] {
        bench.time(name, Work::Bytes(streams * 4 * trained.elements), || {
            let tensors = trained.tensors.iter_mut().map(|tensor| {
                let mut states = tensor.states.iter_mut();
                StepTensor {
                    parameter: tensor.parameter.view_mut(),
                    gradient: tensor.gradient.view(),
                    states: rule
                        .states()
                        .map(|used| if used { states.next().map(|state| state.view_mut()) } else { None }),
                    learning_rate: 1e-4,
                    weight_decay: 0.0,
                    average: 0.1,
                }
            });
            backend.elementwise_step(&rule, 2, &trained.norm, &mut tensors.collect::<Vec<_>>())
        })?;
    }
    Ok(())
}
