//! Benchmark of `grad_norm`: many tensors of an adapter's size.

use tunesmith_ops::{Backend, Clip, Result};

use crate::bench::{Bench, Work};

/// Times the norm of 64 tensors of rank 16.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (backend, stage, len) = (bench.backend, bench.stage(), 16 * bench.model.hidden);
    let numbers = bench.inputs.uniform(len, 1.0);
    let tensors = (0..64).map(|_| stage.floats(&numbers)).collect::<Result<Vec<_>>>()?;
    let views: Vec<_> = tensors.iter().map(tunesmith_conformance::stage::Staged::view).collect();
    let clip = Clip { denominator: 1.0, max_grad_norm: Some(1.0) };
    bench.time("grad_norm", Work::Bytes(64 * 4 * len), || backend.grad_norm(&clip, &views).map(drop))
}
