//! Benchmark of `swiglu`: the feed-forward block of a batch.

use tunesmith_ops::{Activation, Backend, Result};

use crate::bench::{Bench, Work};

/// Times forward and backward.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    for activation in [Activation::Silu, Activation::GeluTanh] {
        case(bench, activation)?;
    }
    Ok(())
}

fn case<B: Backend>(bench: &mut Bench<'_, B>, activation: Activation) -> Result<()> {
    let (len, backend, stage) = (bench.tokens * bench.model.intermediate, bench.backend, bench.stage());
    let mut gate = stage.floats(&bench.inputs.uniform(len, 3.0))?;
    let mut up = stage.floats(&bench.inputs.uniform(len, 1.0))?;
    let mut y = stage.output(len)?;
    bench.time(&format!("swiglu_forward {activation:?}"), Work::Bytes(3 * 4 * len), || {
        backend.swiglu_forward(activation, gate.view(), up.view(), y.view_mut())
    })?;
    // In place: after the first run gate and up hold gradients, at which the work is the same.
    let dy = stage.floats(&bench.inputs.uniform(len, 1e-3))?;
    bench.time(&format!("swiglu_backward {activation:?}"), Work::Bytes(5 * 4 * len), || {
        backend.swiglu_backward(activation, dy.view(), gate.view_mut(), up.view_mut())
    })
}
