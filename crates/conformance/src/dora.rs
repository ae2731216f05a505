//! Suite of `dora`.

use tunesmith_ops::dora::reference;
use tunesmith_ops::lora_matmul::reference::Adapter;
use tunesmith_ops::{Dora, Host, Lora, Matrix, Result, Storage};

use crate::inputs::wide;
use crate::matmul::tolerance;
use crate::{Inputs, Record, Stage};

/// Edge sizes of the contract, each next to others; the longest crosses the pieces that sums are cut into.
const SIZES: [(usize, usize); 7] = [(1, 1), (31, 33), (32, 31), (33, 32), (257, 1), (1, 257), (70, 1100)];

/// Ranks of the contract.
const RANKS: [usize; 3] = [1, 8, 17];

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Dora>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for (index, (n, k)) in SIZES.into_iter().enumerate() {
        norms(stage, &mut inputs, record, n, k, RANKS[index % RANKS.len()])?;
    }
    for (m, n) in [(1, 1), (31, 33), (257, 32), (530, 70), (33, 257), (0, 5)] {
        scaling(stage, &mut inputs, record, m, n)?;
    }
    zero_row(stage, record)?;
    refusals(stage, record)
}

fn norms<B: Dora>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    n: usize,
    k: usize,
    r: usize,
) -> Result<()> {
    let b = stage.backend;
    let (w, lora_a, lora_b) = (inputs.normal(n * k), inputs.normal(r * k), inputs.normal(n * r));
    let (wide_a, wide_b, scale) = (wide(&lora_a), wide(&lora_b), 1.5);
    let adapter = Adapter { r, a: &wide_a, b: &wide_b, scale: f64::from(scale) };
    let (a, lb, trained) = (stage.floats(&lora_a)?, stage.floats(&lora_b)?, stage.floats(&w)?);
    let lora = Lora { r, a: a.view(), b: lb.view(), scale };
    let mut out = stage.output(n)?;
    for storage in [Storage::F32, Storage::Bf16] {
        let weight = b.prepare_weight(n, k, Host::F32(&w), storage)?;
        let mut stored = vec![0.0; n * k];
        b.read_weight(&weight, 0, n, &mut stored)?;
        b.dora_norms(n, k, Matrix::Frozen(&weight), lora, out.view_mut())?;
        let want = reference::norms(k, &wide(&stored), adapter);
        record.compare(format!("dora_norms {n}×{k} r {r} {storage:?}"), &stage.read(&out)?, &want, 2e-6);
    }
    b.dora_norms(n, k, Matrix::Trained(trained.view()), lora, out.view_mut())?;
    let want = reference::norms(k, &wide(&w), adapter);
    record.compare(format!("dora_norms {n}×{k} r {r} trained"), &stage.read(&out)?, &want, 2e-6);
    Ok(())
}

fn scaling<B: Dora>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record, m: usize, n: usize) -> Result<()> {
    let b = stage.backend;
    let [u, dy, old_y] = [(); 3].map(|()| stage.round(inputs.normal(m * n)));
    let (magnitude, bias, old_d) = (inputs.normal(n), inputs.normal(n), inputs.normal(n));
    let norms: Vec<f32> = inputs.uniform(n, 1.0).iter().map(|x| x + 1.5).collect();
    let wide_norms = wide(&norms);
    let (wide_u, wide_magnitude) = (wide(&u), wide(&magnitude));
    let (u, dy, magnitude) = (stage.activations(&u)?, stage.activations(&dy)?, stage.floats(&magnitude)?);
    let (norms, staged_bias) = (stage.floats(&norms)?, stage.floats(&bias)?);
    for (with_bias, accumulate) in [(false, false), (true, false), (true, true)] {
        let mut y = if accumulate { stage.activations(&old_y)? } else { stage.activation_output(m * n)? };
        let view = with_bias.then(|| staged_bias.view());
        b.dora_forward(m, n, u.view(), magnitude.view(), norms.view(), view, y.view_mut(), accumulate)?;
        let bias = with_bias.then(|| wide(&bias));
        let mut want = reference::forward(&wide_u, &wide_magnitude, &wide_norms, bias.as_deref());
        if accumulate {
            want.iter_mut().zip(&old_y).for_each(|(want, old)| *want += f64::from(*old));
        }
        let name = format!("dora_forward {m}×{n} bias {with_bias} accumulate {accumulate}");
        record.compare(name, &stage.read(&y)?, &want, stage.tolerance(2e-6, 4e-3));
    }
    let (mut du, mut dmagnitude) = (stage.activation_output(m * n)?, stage.floats(&old_d)?);
    let (dmag, wide_dy) = (dmagnitude.view_mut(), wide(&stage.read(&dy)?));
    b.dora_backward(m, n, dy.view(), u.view(), magnitude.view(), norms.view(), du.view_mut(), dmag)?;
    let (want_du, mut want_d) = reference::backward(&wide_dy, &wide_u, &wide_magnitude, &wide_norms);
    want_d.iter_mut().zip(&old_d).for_each(|(want, old)| *want += f64::from(*old));
    record.compare(format!("dora_backward {m}×{n} du"), &stage.read(&du)?, &want_du, stage.tolerance(2e-6, 4e-3));
    record.compare(
        format!("dora_backward {m}×{n} dmagnitude"),
        &stage.read(&dmagnitude)?,
        &want_d,
        tolerance(m.max(1)),
    );
    Ok(())
}

/// A row of norm 0 gives 0 and no gradient, not NaN.
fn zero_row<B: Dora>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let (u, dy) = (stage.activations(&[2.0, 0.0])?, stage.activations(&[1.0, 1.0])?);
    let (magnitude, norms) = (stage.floats(&[3.0, 0.0])?, stage.floats(&[2.0, 0.0])?);
    let (mut y, mut du, mut d) = (stage.activation_output(2)?, stage.activation_output(2)?, stage.floats(&[0.0; 2])?);
    let b = stage.backend;
    b.dora_forward(1, 2, u.view(), magnitude.view(), norms.view(), None, y.view_mut(), false)?;
    record.same("dora_forward of a zero row", &stage.read(&y)?, &[3.0, 0.0]);
    let dmagnitude = d.view_mut();
    b.dora_backward(1, 2, dy.view(), u.view(), magnitude.view(), norms.view(), du.view_mut(), dmagnitude)?;
    record.same("dora_backward of a zero row, du", &stage.read(&du)?, &[1.5, 0.0]);
    record.same("dora_backward of a zero row, dmagnitude", &stage.read(&d)?, &[1.0, 0.0]);
    Ok(())
}

fn refusals<B: Dora>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let b = stage.backend;
    let weight = b.prepare_weight(2, 3, Host::F32(&[1.0; 6]), Storage::F32)?;
    let (six, two, mut out) = (stage.floats(&[1.0; 6])?, stage.floats(&[1.0; 2])?, stage.output(3)?);
    let lora = Lora { r: 2, a: six.view(), b: two.view(), scale: 1.0 };
    let outcome = b.dora_norms(2, 3, Matrix::Frozen(&weight), lora, out.view_mut());
    record.refused("dora_norms with views of another size", &outcome);
    let u = stage.activations(&[1.0; 2])?;
    let outcome = b.dora_forward(1, 2, u.view(), two.view(), two.view(), None, out.view_mut(), false);
    record.refused("dora_forward into another size", &outcome);
    Ok(())
}
