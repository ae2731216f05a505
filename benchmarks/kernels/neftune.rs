//! Benchmark of `neftune`: the input of the first layer.

use tunesmith_ops::{Backend, Result};

use crate::bench::{Bench, Work};

/// Times the op, which has no backward.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, n, backend, width) = (bench.tokens, bench.model.hidden, bench.backend, bench.width());
    let rows = bench.integers(&vec![7; m])?;
    let positions = bench.integers(&(0..m as i32).collect::<Vec<_>>())?;
    let magnitudes = bench.floats(m, 1e-3)?;
    let mut y = bench.output(m * n)?;
    bench.time("neftune hidden", Work::Bytes(2 * width * m * n), || {
        backend.neftune(m, n, 1, rows.view(), positions.view(), magnitudes.view(), y.view_mut())
    })
}
