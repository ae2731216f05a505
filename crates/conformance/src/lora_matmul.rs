//! Suite of `lora_matmul`.

use tunesmith_ops::lora_matmul::reference::{self, Adapter};
use tunesmith_ops::{Host, Lora, LoraMatmul, MatmulShape, Matrix, Result, Storage};

use crate::inputs::wide;
use crate::matmul::{plus, rounded, shapes, tolerance};
use crate::{Inputs, Record, Stage};

/// Ranks of the contract.
const RANKS: [usize; 6] = [1, 2, 8, 16, 17, 64];

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: LoraMatmul>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for (index, shape) in stage.cases(shapes().enumerate()) {
        case(stage, &mut inputs, record, shape, RANKS[index % RANKS.len()])?;
    }
    for r in RANKS {
        case(stage, &mut inputs, record, MatmulShape { m: 530, n: 70, k: 90 }, r)?;
    }
    case(stage, &mut inputs, record, MatmulShape { m: 131, n: 136, k: 264 }, 16)?;
    refusal(stage, record)
}

/// Tolerance of what an adapter is added to: a backend may round the adapter's part by itself, 2⁻⁸ of the largest output once
/// more.
fn twice_rounded<B: LoraMatmul>(stage: &Stage<'_, B>, reduced: usize) -> f64 {
    stage.tolerance(tolerance(reduced), 8e-3)
}

fn case<B: LoraMatmul>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: MatmulShape,
    r: usize,
) -> Result<()> {
    // In 16 bits `A` and `s B` are rounded: here they are exact, so that what is left is the rounding of the outputs.
    let (b, MatmulShape { m, n, k }, scale) = (stage.backend, shape, 0.5);
    let [x, w, dy] = [m * k, n * k, m * n].map(|len| stage.round(inputs.normal(len)));
    let bias = inputs.normal(n);
    let (lora_a, lora_b) = (stage.round(inputs.normal(r * k)), stage.round(inputs.normal(n * r)));
    let (old_da, old_db, old_dx) = (inputs.normal(r * k), inputs.normal(n * r), stage.round(inputs.normal(m * k)));
    let (wide_x, wide_w, wide_a, wide_b) = (wide(&x), wide(&w), wide(&lora_a), wide(&lora_b));
    let adapter = Adapter { r, a: &wide_a, b: &wide_b, scale: f64::from(scale) };
    let [a, lb] = [stage.floats(&lora_a)?, stage.floats(&lora_b)?];
    let lora = Lora { r, a: a.view(), b: lb.view(), scale };
    let (x, staged_bias, staged_dy) = (stage.activations(&x)?, stage.floats(&bias)?, stage.activations(&dy)?);
    let weight = b.prepare_weight(n, k, Host::F32(&w), Storage::F32)?;
    let matrix = Matrix::Frozen(&weight);
    let name = format!("{m}×{n}×{k} r {r}");
    let (mut xa, mut y) = (stage.activation_output(m * r)?, stage.activation_output(m * n)?);
    let other_x = stage.round(inputs.normal(m * k));
    let staged_other = stage.activations(&other_x)?;
    // The last of them is the plain one: backward takes what it saves.
    for (with_bias, dropped) in [(false, true), (true, false), (false, false)] {
        let view = with_bias.then(|| staged_bias.view());
        let other = dropped.then(|| staged_other.view());
        b.lora_forward(shape, x.view(), other, matrix, view, lora, xa.view_mut(), y.view_mut())?;
        let (bias, other) = (with_bias.then(|| wide(&bias)), dropped.then(|| wide(&other_x)));
        let (want_xa, _) = reference::forward(shape, &wide_x, other.as_deref(), &wide_w, bias.as_deref(), adapter);
        let got_xa = stage.read(&xa)?;
        let want_y = reference::output(shape, &wide_x, &wide(&got_xa), &wide_w, bias.as_deref(), adapter);
        let name = format!("lora_forward {name} bias {with_bias} dropped {dropped}");
        record.compare(format!("{name} xa"), &got_xa, &want_xa, rounded(stage, k));
        record.compare(format!("{name} y"), &stage.read(&y)?, &want_y, twice_rounded(stage, k + r));
    }
    let saved = wide(&stage.read(&xa)?);
    let want = reference::backward(shape, &wide(&dy), &wide_x, &saved, &wide_w, adapter);
    for mode in [None, Some(false), Some(true)] {
        let (mut dyb, mut da, mut db) =
            (stage.activation_output(m * r)?, stage.floats(&old_da)?, stage.floats(&old_db)?);
        let mut dx = if mode == Some(true) { stage.activations(&old_dx)? } else { stage.activation_output(m * k)? };
        b.lora_backward(
            shape,
            staged_dy.view(),
            x.view(),
            xa.view(),
            matrix,
            lora,
            dyb.view_mut(),
            da.view_mut(),
            db.view_mut(),
            mode.map(|_| dx.view_mut()),
            mode == Some(true),
        )?;
        let (name, got_dyb) = (format!("lora_backward {name} accumulate {mode:?}"), stage.read(&dyb)?);
        record.compare(format!("{name} dyb"), &got_dyb, &want.dyb, rounded(stage, n));
        let want = reference::gradients(shape, &wide(&dy), &wide_x, &saved, wide(&got_dyb), &wide_w, adapter);
        record.compare(format!("{name} da"), &stage.read(&da)?, &plus(&want.da, &old_da), tolerance(m));
        record.compare(format!("{name} db"), &stage.read(&db)?, &plus(&want.db, &old_db), tolerance(m));
        if let Some(accumulate) = mode {
            let want = if accumulate { plus(&want.dx, &old_dx) } else { want.dx.clone() };
            record.compare(format!("{name} dx"), &stage.read(&dx)?, &want, twice_rounded(stage, n + r));
        }
    }
    Ok(())
}

fn refusal<B: LoraMatmul>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let b = stage.backend;
    let weight = b.prepare_weight(4, 3, Host::F32(&[1.0; 12]), Storage::F32)?;
    let (x, lora) = (stage.activations(&[1.0; 6])?, stage.floats(&[1.0; 6])?);
    let (mut xa, mut y) = (stage.activation_output(4)?, stage.activation_output(8)?);
    let outcome = b.lora_forward(
        MatmulShape { m: 2, n: 4, k: 3 },
        x.view(),
        None,
        Matrix::Frozen(&weight),
        None,
        Lora { r: 2, a: lora.view(), b: lora.view(), scale: 1.0 },
        xa.view_mut(),
        y.view_mut(),
    );
    record.refused("lora_forward with a B of another size", &outcome);
    Ok(())
}
