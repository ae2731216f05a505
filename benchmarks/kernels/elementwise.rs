//! Benchmark of `elementwise`: the residual stream, and the gradient of a bias.

use tunesmith_ops::{Backend, Result};

use crate::bench::{Bench, Work};

/// Times addition and the sum of rows.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, n, backend, stage) = (bench.tokens, bench.model.hidden, bench.backend, bench.stage());
    let x = stage.floats(&bench.inputs.uniform(m * n, 1.0))?;
    let (mut y, mut sum) = (stage.floats(&vec![0.0; m * n])?, stage.floats(&vec![0.0; n])?);
    bench.time("add", Work::Bytes(3 * 4 * m * n), || backend.add(x.view(), y.view_mut()))?;
    bench.time("sum_rows", Work::Bytes(4 * m * n), || backend.sum_rows(m, n, x.view(), sum.view_mut()))
}
