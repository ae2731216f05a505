//! Suite of `rms_norm`.

use tunesmith_ops::rms_norm::reference;
use tunesmith_ops::{NormShape, Result, RmsNorm};

use crate::inputs::wide;
use crate::matmul::plus;
use crate::{Inputs, Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: RmsNorm>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    // In an order of which a sparse stage takes short and long rows, one and many.
    let sizes = [4099, 1, 15, 576, 17, 64, 16].into_iter().flat_map(|d| [1, 257, 0].map(|m| (d, m)));
    for ((d, m), offset) in stage.cases(sizes.flat_map(|size| [0.0, 1.0].map(|offset| (size, offset)))) {
        case(stage, &mut inputs, record, NormShape { m, d, eps: 1e-5, offset })?;
    }
    case(stage, &mut inputs, record, NormShape { m: 1, d: 16_408, eps: 1e-5, offset: 0.0 })?;
    let (x, scale) = (stage.activations(&[1.0; 8])?, stage.floats(&[1.0; 4])?);
    let (mut y, mut rstd) = (stage.activation_output(8)?, stage.output(3)?);
    let shape = NormShape { m: 2, d: 4, eps: 1e-5, offset: 0.0 };
    let outcome = stage.backend.rms_norm_forward(shape, x.view(), scale.view(), y.view_mut(), rstd.view_mut());
    record.refused("rms_norm with three rstd for two rows", &outcome);
    let (mut sum, mut rstd) = (stage.activation_output(7)?, stage.output(2)?);
    let (sum, y, rstd) = (sum.view_mut(), y.view_mut(), rstd.view_mut());
    let outcome = stage.backend.rms_norm_add_forward(shape, x.view(), sum, scale.view(), y, rstd);
    record.refused("rms_norm_add with a sum that is too short", &outcome);
    Ok(())
}

/// The sum is that of the row in float32, rounded once, and all after it has the bits of the norm alone.
fn sum_case<B: RmsNorm>(
    stage: &Stage<'_, B>,
    record: &mut Record,
    shape: NormShape,
    [x, delta, scale]: [&[f32]; 3],
) -> Result<()> {
    let (b, NormShape { m, d, offset, .. }) = (stage.backend, shape);
    let want_sum = stage.round(x.iter().zip(delta).map(|(x, delta)| x + delta).collect());
    let (staged_x, staged_scale) = (stage.activations(x)?, stage.floats(scale)?);
    let (mut sum, mut y, mut rstd) = (stage.activations(delta)?, stage.activation_output(m * d)?, stage.output(m)?);
    b.rms_norm_add_forward(shape, staged_x.view(), sum.view_mut(), staged_scale.view(), y.view_mut(), rstd.view_mut())?;
    let name = format!("rms_norm_add_forward {m}×{d} + {offset}");
    record.same(format!("{name} sum"), &stage.read(&sum)?, &want_sum);
    let (mut alone_y, mut alone_rstd) = (stage.activation_output(m * d)?, stage.output(m)?);
    b.rms_norm_forward(shape, sum.view(), staged_scale.view(), alone_y.view_mut(), alone_rstd.view_mut())?;
    for (what, got, alone) in [("y", &y, &alone_y), ("rstd", &rstd, &alone_rstd)] {
        record.same(format!("{name} {what}"), &stage.read(got)?, &stage.read(alone)?);
    }
    Ok(())
}

fn case<B: RmsNorm>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record, shape: NormShape) -> Result<()> {
    let (b, NormShape { m, d, eps, offset }) = (stage.backend, shape);
    let mut x = stage.round(inputs.normal(m * d));
    if m > 1 {
        x[d..2 * d].fill(0.0);
    }
    let (scale, dy) = (inputs.uniform(d, 2.0), stage.round(inputs.normal(m * d)));
    sum_case(stage, record, shape, [&x, &dy, &scale])?;
    let (old_dx, old_dscale) = (stage.round(inputs.normal(m * d)), inputs.normal(d));
    let (staged_x, staged_scale) = (stage.activations(&x)?, stage.floats(&scale)?);
    let (mut y, mut rstd) = (stage.activation_output(m * d)?, stage.output(m)?);
    b.rms_norm_forward(shape, staged_x.view(), staged_scale.view(), y.view_mut(), rstd.view_mut())?;
    let whole: Vec<_> = wide(&scale).iter().map(|scale| scale + f64::from(offset)).collect();
    let (want_y, want_rstd) = reference::forward(f64::from(eps), &wide(&x), &whole);
    record.compare(
        format!("rms_norm_forward {m}×{d} + {offset} y"),
        &stage.read(&y)?,
        &want_y,
        stage.tolerance(2e-6, 4e-3),
    );
    record.compare(format!("rms_norm_forward {m}×{d} + {offset} rstd"), &stage.read(&rstd)?, &want_rstd, 2e-6);
    let staged_dy = stage.activations(&dy)?;
    let (want_dx, want_dscale) = reference::backward(&wide(&dy), &wide(&x), &whole, &want_rstd);
    for accumulate in [false, true] {
        let mut dx = if accumulate { stage.activations(&old_dx)? } else { stage.activation_output(m * d)? };
        let mut dscale = stage.floats(&old_dscale)?;
        b.rms_norm_backward(
            shape,
            staged_dy.view(),
            staged_x.view(),
            staged_scale.view(),
            rstd.view(),
            dx.view_mut(),
            accumulate,
            accumulate.then(|| dscale.view_mut()),
        )?;
        let add = |want: &[f64], old: &[f32]| if accumulate { plus(want, old) } else { want.to_vec() };
        let name = format!("rms_norm_backward {m}×{d} + {offset} accumulate {accumulate}");
        let want_dx = add(&want_dx, &old_dx);
        let want_dscale = if accumulate { plus(&want_dscale, &old_dscale) } else { wide(&old_dscale) };
        let outputs = [("dx", &*stage.read(&dx)?, &*want_dx), ("dscale", &*stage.read(&dscale)?, &*want_dscale)];
        record.compare_all(&name, &outputs, stage.tolerance(1e-5, 4e-3));
    }
    Ok(())
}
