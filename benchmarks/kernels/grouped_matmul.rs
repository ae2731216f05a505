//! Benchmark of `grouped_matmul`: the rows of a batch spread evenly over 8 experts of a quarter of the feed-forward size.

use tunesmith_ops::{Backend, GroupedShape, Result, Stack};

use crate::bench::{Bench, Work};

/// Times forward and the gradient of the input with frozen experts, and the gradient of trained ones.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, n, k, groups) = (bench.tokens, bench.model.intermediate / 4, bench.model.hidden, 8);
    let (backend, shape) = (bench.backend, GroupedShape { m, groups, n, k });
    let experts = (0..groups).map(|_| bench.weight(n, k)).collect::<Result<Vec<_>>>()?;
    let experts = backend.stack_weights(n, k, experts)?;
    let starts: Vec<i32> = (0..=groups).map(|group| (group * m / groups) as i32).collect();
    let starts = bench.integers(&starts)?;
    let (x, mut y) = (bench.activations(m * k, 1.0)?, bench.output(m * n)?);
    bench.time("grouped_forward", Work::Flops(2 * m * n * k), || {
        backend.grouped_forward(shape, x.view(), Stack::Frozen(&experts), starts.view(), y.view_mut())
    })?;
    let (dy, mut dx) = (bench.activations(m * n, 1.0)?, bench.output(m * k)?);
    bench.time("grouped_backward_input", Work::Flops(2 * m * n * k), || {
        backend.grouped_backward_input(shape, dy.view(), Stack::Frozen(&experts), starts.view(), dx.view_mut())
    })?;
    let mut dw = bench.output_floats(groups * n * k)?;
    bench.time("grouped_backward_weight", Work::Flops(2 * m * n * k), || {
        backend.grouped_backward_weight(shape, dy.view(), x.view(), starts.view(), dw.view_mut())
    })
}
