//! Benchmark of `rms_norm`: the residual stream of a batch.

use tunesmith_ops::{Backend, NormShape, Result};

use crate::bench::{Bench, Work};

/// Times forward, alone and after the addition to the residual stream, and backward: into a gradient of its own, added to that
/// of the residual stream, and with a trained scale.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, d, backend, width) = (bench.tokens, bench.model.hidden, bench.backend, bench.width());
    let shape = NormShape { m, d, eps: 1e-5, offset: 0.0 };
    let (x, dy) = (bench.activations(m * d, 1.0)?, bench.activations(m * d, 1.0)?);
    let (scale, mut dscale) = (bench.floats(d, 1.0)?, bench.output_floats(d)?);
    let (mut y, mut rstd, mut dx) = (bench.output(m * d)?, bench.output_floats(m)?, bench.output(m * d)?);
    let mut forward = || backend.rms_norm_forward(shape, x.view(), scale.view(), y.view_mut(), rstd.view_mut());
    forward()?;
    bench.time("rms_norm_forward", Work::Bytes(2 * width * m * d), forward)?;
    let mut backward = |accumulate: bool, trained: bool| {
        let (dx, dscale) = (dx.view_mut(), trained.then(|| dscale.view_mut()));
        backend.rms_norm_backward(shape, dy.view(), x.view(), scale.view(), rstd.view(), dx, accumulate, dscale)
    };
    bench.time("rms_norm_backward", Work::Bytes(3 * width * m * d), || backward(false, false))?;
    bench.time("rms_norm_backward accumulating", Work::Bytes(4 * width * m * d), || backward(true, false))?;
    bench.time("rms_norm_backward trained", Work::Bytes(3 * width * m * d), || backward(false, true))?;
    // Zeros, so that the sum stays what it is however often it is timed.
    let (zeros, mut sum) = (bench.output(m * d)?, bench.activations(m * d, 1.0)?);
    bench.time("rms_norm_add_forward", Work::Bytes(4 * width * m * d), || {
        let (sum, y, rstd) = (sum.view_mut(), y.view_mut(), rstd.view_mut());
        backend.rms_norm_add_forward(shape, zeros.view(), sum, scale.view(), y, rstd)
    })
}
