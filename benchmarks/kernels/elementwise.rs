//! Benchmark of `elementwise`: the residual stream, and the gradient of a bias.

use tunesmith_ops::{Backend, Columns, Result};

use crate::bench::{Bench, Work};

/// Times addition, multiples, the sum of rows, and a part of a wider matrix.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, n, backend, stage) = (bench.tokens, bench.model.hidden, bench.backend, bench.stage());
    let x = stage.floats(&bench.inputs.uniform(m * n, 1.0))?;
    let (mut y, mut sum) = (stage.floats(&vec![0.0; m * n])?, stage.floats(&vec![0.0; n])?);
    bench.time("add", Work::Bytes(3 * 4 * m * n), || backend.add(x.view(), y.view_mut()))?;
    bench.time("scale", Work::Bytes(2 * 4 * m * n), || backend.scale(1.0, y.view_mut()))?;
    let (mut part, whole) = (stage.output(m * (n / 2))?, Columns { stride: n, start: n / 4 });
    bench.time("copy_columns", Work::Bytes(4 * m * n), || {
        backend.copy_columns(m, n / 2, x.view(), whole, part.view_mut(), Columns { stride: n / 2, start: 0 })
    })?;
    bench.time("sum_rows", Work::Bytes(4 * m * n), || backend.sum_rows(m, n, x.view(), sum.view_mut()))
}
