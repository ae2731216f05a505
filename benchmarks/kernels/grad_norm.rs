//! Benchmark of `grad_norm`: many tensors of an adapter's size.

use tunesmith_ops::{Backend, Clip, Result};

use crate::bench::{Bench, Held, Work};

const TENSORS: usize = 448;

/// Times the norm of 448 tensors of rank 16.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (backend, len) = (bench.backend, 16 * bench.model.hidden);
    let tensors = (0..TENSORS).map(|_| bench.floats(len, 1.0)).collect::<Result<Vec<_>>>()?;
    let views: Vec<_> = tensors.iter().map(Held::view).collect();
    let clip = Clip { denominator: 1.0, max_grad_norm: Some(1.0) };
    bench.time("grad_norm", Work::Bytes(TENSORS * 4 * len), || backend.grad_norm(&clip, &views).map(drop))
}
