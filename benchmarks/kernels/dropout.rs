//! Benchmark of `dropout`: the input of an adapter on the residual stream, and on the feed-forward block.

use tunesmith_ops::{Backend, DropoutMask, Result};

use crate::bench::{Bench, Work};

/// Times the op, which is its own backward.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, backend, width) = (bench.tokens, bench.backend, bench.width());
    let rows = bench.integers(&vec![7; m])?;
    let positions = bench.integers(&(0..m as i32).collect::<Vec<_>>())?;
    let mask = DropoutMask { key: 1, p: 0.05 };
    for (name, n) in [("hidden", bench.model.hidden), ("intermediate", bench.model.intermediate)] {
        let x = bench.activations(m * n, 1.0)?;
        let mut y = bench.output(m * n)?;
        bench.time(&format!("dropout {name}"), Work::Bytes(2 * width * m * n), || {
            let (rows, positions) = (rows.view(), positions.view());
            backend.dropout(m, n, mask, rows, positions, mask.scale(), x.view(), y.view_mut(), false)
        })?;
    }
    Ok(())
}
