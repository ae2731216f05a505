//! Benchmark of `rms_norm`: the residual stream of a batch.

use tunesmith_ops::{Backend, NormShape, Result};

use crate::bench::{Bench, Work};

/// Times forward, and backward with a frozen and with a trained scale.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, d, backend, width) = (bench.tokens, bench.model.hidden, bench.backend, bench.width());
    let shape = NormShape { m, d, eps: 1e-5, offset: 0.0 };
    let (x, dy) = (bench.activations(m * d, 1.0)?, bench.activations(m * d, 1.0)?);
    let (scale, mut dscale) = (bench.floats(d, 1.0)?, bench.output_floats(d)?);
    let (mut y, mut rstd, mut dx) = (bench.output(m * d)?, bench.output_floats(m)?, bench.output(m * d)?);
    let mut forward = || backend.rms_norm_forward(shape, x.view(), scale.view(), y.view_mut(), rstd.view_mut());
    forward()?;
    bench.time("rms_norm_forward", Work::Bytes(2 * width * m * d), forward)?;
    let mut backward = |trained: bool| {
        let (dx, dscale) = (dx.view_mut(), trained.then(|| dscale.view_mut()));
        backend.rms_norm_backward(shape, dy.view(), x.view(), scale.view(), rstd.view(), dx, false, dscale)
    };
    bench.time("rms_norm_backward", Work::Bytes(3 * width * m * d), || backward(false))?;
    bench.time("rms_norm_backward trained", Work::Bytes(3 * width * m * d), || backward(true))
}
