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
    let (len, backend, width) = (bench.tokens * bench.model.intermediate, bench.backend, bench.width());
    let (gate, up) = (bench.activations(len, 3.0)?, bench.activations(len, 1.0)?);
    let mut y = bench.output(len)?;
    bench.time(&format!("swiglu_forward {activation:?}"), Work::Bytes(3 * width * len), || {
        backend.swiglu_forward(activation, gate.view(), up.view(), y.view_mut())
    })?;
    drop(y);
    let dy = bench.activations(len, 1.0)?;
    let (first, second) = (bench.activations(len, 3.0)?, bench.activations(len, 1.0)?);
    bench.time_in_place(
        &format!("swiglu_backward {activation:?}"),
        Work::Bytes(5 * width * len),
        (gate, up),
        |(gate, up)| {
            backend.copy(first.view(), gate.view_mut())?;
            backend.copy(second.view(), up.view_mut())
        },
        |(gate, up)| backend.swiglu_backward(activation, dy.view(), gate.view_mut(), up.view_mut()),
    )
}
