//! Benchmark of `elementwise`: the residual stream, and the gradient of a bias.

use tunesmith_ops::{Backend, Columns, Result};

use crate::bench::{Bench, Work};

/// Times addition, multiples, the sum of rows, and a part of a wider matrix.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, n, backend, width) = (bench.tokens, bench.model.hidden, bench.backend, bench.width());
    let x = bench.activations(m * n, 1.0)?;
    let (mut y, mut sum) = (bench.output(m * n)?, bench.output_floats(n)?);
    bench.time("add", Work::Bytes(3 * width * m * n), || backend.add(x.view(), y.view_mut()))?;
    bench.time("scale", Work::Bytes(2 * width * m * n), || backend.scale(1.0, y.view_mut()))?;
    let (mut part, whole) = (bench.output(m * (n / 2))?, Columns { stride: n, start: n / 4 });
    bench.time("copy_columns", Work::Bytes(width * m * n), || {
        backend.copy_columns(m, n / 2, x.view(), whole, part.view_mut(), Columns { stride: n / 2, start: 0 })
    })?;
    bench.time("sum_rows", Work::Bytes(width * m * n), || backend.sum_rows(m, n, x.view(), sum.view_mut()))
}
