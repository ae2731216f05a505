//! Benchmark of `embedding`: the tokens of a batch out of the whole table.

use tunesmith_ops::{Backend, Matrix, Result};

use crate::bench::{Bench, Work};

/// Times gather from a frozen table and scatter into a trained one.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let names = ["embedding_forward", "embedding_backward"];
    if !names.iter().any(|name| bench.wants(name)) {
        return Ok(());
    }
    let (v, d, t, backend, width) =
        (bench.model.vocabulary, bench.model.hidden, bench.tokens, bench.backend, bench.width());
    let table = bench.weight(v, d)?;
    let ids = bench.inputs.integers(t, v);
    let ids = bench.integers(&ids)?;
    let (mut y, mut dtable) = (bench.output(t * d)?, bench.output_floats(v * d)?);
    bench.time(names[0], Work::Bytes(2 * width * t * d), || {
        backend.embedding_forward(v, d, Matrix::Frozen(&table), ids.view(), y.view_mut())
    })?;
    let dy = bench.activations(t * d, 1.0)?;
    bench.time(names[1], Work::Bytes((width + 2 * 4) * t * d), || {
        backend.embedding_backward(v, d, dy.view(), ids.view(), dtable.view_mut())
    })
}
