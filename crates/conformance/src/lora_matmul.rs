//! Suite of `lora_matmul`.

use tunesmith_ops::lora_matmul::reference::{self, Adapter};
use tunesmith_ops::{Host, Lora, LoraMatmul, MatmulShape, Matrix, Result, Storage};

use crate::inputs::wide;
use crate::matmul::{plus, rounded, shapes, tolerance};
use crate::stage::Staged;
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

/// The numbers of one case, on the host.
struct Case {
    shape: MatmulShape,
    r: usize,
    x: Vec<f32>,
    w: Vec<f32>,
    dy: Vec<f32>,
    bias: Vec<f32>,
    lora_a: Vec<f32>,
    lora_b: Vec<f32>,
    old_da: Vec<f32>,
    old_db: Vec<f32>,
    old_dx: Vec<f32>,
    dropped_x: Vec<f32>,
}

/// In 16 bits `A` and `s B` are rounded: with this scale they are exact, so that what is left is the rounding of the outputs.
const SCALE: f32 = 0.5;

impl Case {
    fn draw<B: LoraMatmul>(stage: &Stage<'_, B>, inputs: &mut Inputs, shape: MatmulShape, r: usize) -> Self {
        let MatmulShape { m, n, k } = shape;
        let [x, w, dy] = [m * k, n * k, m * n].map(|len| stage.round(inputs.normal(len)));
        let bias = inputs.normal(n);
        let (lora_a, lora_b) = (stage.round(inputs.normal(r * k)), stage.round(inputs.normal(n * r)));
        let (old_da, old_db, old_dx) = (inputs.normal(r * k), inputs.normal(n * r), stage.round(inputs.normal(m * k)));
        let dropped_x = stage.round(inputs.normal(m * k));
        Self { shape, r, x, w, dy, bias, lora_a, lora_b, old_da, old_db, old_dx, dropped_x }
    }

    fn name(&self) -> String {
        let MatmulShape { m, n, k } = self.shape;
        format!("{m}×{n}×{k} r {}", self.r)
    }
}

fn case<B: LoraMatmul>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: MatmulShape,
    r: usize,
) -> Result<()> {
    let case = Case::draw(stage, inputs, shape, r);
    let xa = forward(stage, record, &case)?;
    backward(stage, record, &case, &xa)
}

/// With and without bias and dropout; gives `xa` of the plain one, which backward takes.
fn forward<B: LoraMatmul>(stage: &Stage<'_, B>, record: &mut Record, case: &Case) -> Result<Staged<B::Buffer>> {
    let (b, r, MatmulShape { m, n, k }) = (stage.backend, case.r, case.shape);
    let (wide_x, wide_w, wide_a, wide_b) = (wide(&case.x), wide(&case.w), wide(&case.lora_a), wide(&case.lora_b));
    let adapter = Adapter { r, a: &wide_a, b: &wide_b, scale: f64::from(SCALE) };
    let [a, lb, staged_bias] = [stage.floats(&case.lora_a)?, stage.floats(&case.lora_b)?, stage.floats(&case.bias)?];
    let lora = Lora { r, a: a.view(), b: lb.view(), scale: SCALE };
    let (x, staged_other) = (stage.activations(&case.x)?, stage.activations(&case.dropped_x)?);
    let weight = b.prepare_weight(n, k, Host::F32(&case.w), Storage::F32)?;
    let matrix = Matrix::Frozen(&weight);
    let (mut xa, mut y) = (stage.activation_output(m * r)?, stage.activation_output(m * n)?);
    for (with_bias, dropped) in [(false, true), (true, false), (false, false)] {
        let view = with_bias.then(|| staged_bias.view());
        let other = dropped.then(|| staged_other.view());
        b.lora_forward(case.shape, x.view(), other, matrix, view, lora, xa.view_mut(), y.view_mut())?;
        let (bias, other) = (with_bias.then(|| wide(&case.bias)), dropped.then(|| wide(&case.dropped_x)));
        let (want_xa, _) = reference::forward(case.shape, &wide_x, other.as_deref(), &wide_w, bias.as_deref(), adapter);
        let got_xa = stage.read(&xa)?;
        let want_y = reference::output(case.shape, &wide_x, &wide(&got_xa), &wide_w, bias.as_deref(), adapter);
        let name = format!("lora_forward {} bias {with_bias} dropped {dropped}", case.name());
        record.compare(format!("{name} xa"), &got_xa, &want_xa, rounded(stage, k));
        record.compare(format!("{name} y"), &stage.read(&y)?, &want_y, twice_rounded(stage, k + r));
    }
    Ok(xa)
}

/// Without a gradient of the input, with one that is written, and with one that is added to.
fn backward<B: LoraMatmul>(
    stage: &Stage<'_, B>,
    record: &mut Record,
    case: &Case,
    xa: &Staged<B::Buffer>,
) -> Result<()> {
    let (b, r, shape, MatmulShape { m, n, k }) = (stage.backend, case.r, case.shape, case.shape);
    let (wide_x, wide_w, wide_a, wide_b) = (wide(&case.x), wide(&case.w), wide(&case.lora_a), wide(&case.lora_b));
    let adapter = Adapter { r, a: &wide_a, b: &wide_b, scale: f64::from(SCALE) };
    let [a, lb] = [stage.floats(&case.lora_a)?, stage.floats(&case.lora_b)?];
    let lora = Lora { r, a: a.view(), b: lb.view(), scale: SCALE };
    let [x, staged_dy] = [stage.activations(&case.x)?, stage.activations(&case.dy)?];
    let weight = b.prepare_weight(n, k, Host::F32(&case.w), Storage::F32)?;
    let (saved, dy) = (wide(&stage.read(xa)?), wide(&case.dy));
    let want = reference::backward(shape, &dy, &wide_x, &saved, &wide_w, adapter);
    for mode in [None, Some(false), Some(true)] {
        let added = mode == Some(true);
        let mut dyb = stage.activation_output(m * r)?;
        let [mut da, mut db] = [stage.floats(&case.old_da)?, stage.floats(&case.old_db)?];
        let mut dx = if added { stage.activations(&case.old_dx)? } else { stage.activation_output(m * k)? };
        b.lora_backward(
            shape,
            staged_dy.view(),
            x.view(),
            xa.view(),
            Matrix::Frozen(&weight),
            lora,
            dyb.view_mut(),
            da.view_mut(),
            db.view_mut(),
            mode.map(|_| dx.view_mut()),
            added,
        )?;
        let (name, got_dyb) = (format!("lora_backward {} accumulate {mode:?}", case.name()), stage.read(&dyb)?);
        record.compare(format!("{name} dyb"), &got_dyb, &want.dyb, rounded(stage, n));
        let want = reference::gradients(shape, &dy, &wide_x, &saved, wide(&got_dyb), &wide_w, adapter);
        record.compare(format!("{name} da"), &stage.read(&da)?, &plus(&want.da, &case.old_da), tolerance(m));
        record.compare(format!("{name} db"), &stage.read(&db)?, &plus(&want.db, &case.old_db), tolerance(m));
        if mode.is_some() {
            let want = if added { plus(&want.dx, &case.old_dx) } else { want.dx.clone() };
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
