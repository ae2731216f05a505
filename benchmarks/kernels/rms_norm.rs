//! Benchmark of `rms_norm`: the residual stream of a batch.

use tunesmith_ops::{Backend, NormShape, Result};

use crate::bench::{Bench, Work};

/// Times forward and backward with a trained scale.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, d, backend, stage) = (bench.tokens, bench.model.hidden, bench.backend, bench.stage());
    let x = stage.floats(&bench.inputs.uniform(m * d, 1.0))?;
    let shape = NormShape { m, d, eps: 1e-5, offset: 0.0 };
    let (scale, mut dscale) = (stage.floats(&vec![1.0; d])?, stage.floats(&vec![0.0; d])?);
    let (mut y, mut rstd, mut dx) = (stage.output(m * d)?, stage.output(m)?, stage.output(m * d)?);
    bench.time("rms_norm_forward", Work::Bytes(2 * 4 * m * d), || {
        backend.rms_norm_forward(shape, x.view(), scale.view(), y.view_mut(), rstd.view_mut())
    })?;
    bench.time("rms_norm_backward", Work::Bytes(3 * 4 * m * d), || {
        let (dy, dx, dscale) = (y.view(), dx.view_mut(), Some(dscale.view_mut()));
        backend.rms_norm_backward(shape, dy, x.view(), scale.view(), rstd.view(), dx, false, dscale)
    })
}
