//! Benchmark of `rope`: the queries of a batch.

use tunesmith_ops::{Backend, Result, RopeShape, Rotation};

use crate::bench::{Bench, Work};

/// Times the rotation.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (t, heads, h) = (bench.tokens, bench.model.heads, bench.model.head_dim);
    let (backend, width) = (bench.backend, bench.width());
    let mut x = bench.activations(t * heads * h, 1.0)?;
    let positions: Vec<_> = (0..t as i32).collect();
    let positions = bench.integers(&positions)?;
    let inv_freq: Vec<_> = (0..h / 2).map(|i| 10_000_f32.powf(-2.0 * i as f32 / h as f32)).collect();
    let inv_freq = bench.numbers(&inv_freq)?;
    let shape = RopeShape { t, heads, h, rotary: h };
    bench.time("rope", Work::Bytes(2 * width * t * heads * h), || {
        backend.rope(shape, x.view_mut(), positions.view(), inv_freq.view(), 1.0, Rotation::Forward)
    })
}
