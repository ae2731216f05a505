//! Benchmark of `embedding`: the tokens of a batch out of the whole table.

use tunesmith_ops::{Backend, Matrix, Result};

use crate::bench::{Bench, Work};

/// Times gather and scatter.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (v, d, backend, stage) = (bench.model.vocabulary, bench.model.hidden, bench.backend, bench.stage());
    let table = stage.floats(&bench.inputs.uniform(v * d, 1.0))?;
    let ids = stage.integers(&bench.inputs.integers(bench.tokens, v))?;
    let (mut y, mut dtable) = (stage.output(bench.tokens * d)?, stage.floats(&vec![0.0; v * d])?);
    let bytes = 4 * bench.tokens * d;
    bench.time("embedding_forward", Work::Bytes(2 * bytes), || {
        backend.embedding_forward(v, d, Matrix::Trained(table.view()), ids.view(), y.view_mut())
    })?;
    bench.time("embedding_backward", Work::Bytes(3 * bytes), || {
        backend.embedding_backward(v, d, y.view(), ids.view(), dtable.view_mut())
    })
}
