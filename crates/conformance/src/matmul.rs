//! Suite of `matmul`.

use half::bf16;
use tunesmith_ops::matmul::reference;
use tunesmith_ops::{Host, Matmul, MatmulShape, Matrix, Memory, Result, Storage};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// Edge sizes of the contract.
const SIZES: [usize; 10] = [0, 1, 13, 14, 15, 31, 32, 33, 127, 257];

/// A Latin square over the edge sizes: every pair of sizes in every pair of axes.
pub(crate) fn shapes() -> impl Iterator<Item = MatmulShape> {
    let count = SIZES.len();
    (0..count * count).map(move |index| {
        let (i, j) = (index / count, index % count);
        MatmulShape { m: SIZES[i], n: SIZES[j], k: SIZES[(i + j) % count] }
    })
}

/// Tolerance of a product along `reduced` elements.
pub(crate) fn tolerance(reduced: usize) -> f64 {
    2e-6 * (reduced.max(1) as f64).sqrt()
}

/// Tolerance of a product of activations: in bf16 the rounding of the output.
pub(crate) fn rounded<B: Memory>(stage: &Stage<'_, B>, reduced: usize) -> f64 {
    stage.tolerance(tolerance(reduced), 4e-3)
}

/// `want`, plus the old content of an accumulated output.
pub(crate) fn plus(want: &[f64], old: &[f32]) -> Vec<f64> {
    want.iter().zip(old).map(|(w, &o)| w + f64::from(o)).collect()
}

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Matmul>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for shape in stage.cases(shapes()) {
        case(stage, &mut inputs, record, shape)?;
    }
    // Rows of whole packs of 16 bytes, and several tiles either way.
    case(stage, &mut inputs, record, MatmulShape { m: 131, n: 136, k: 264 })?;
    // Longer than any block of the reduced axis.
    case(stage, &mut inputs, record, MatmulShape { m: 5, n: 2100, k: 65 })?;
    case(stage, &mut inputs, record, MatmulShape { m: 5, n: 65, k: 2100 })?;
    case(stage, &mut inputs, record, MatmulShape { m: 600, n: 40, k: 48 })?;
    storage(stage, &mut inputs, record)?;
    alone(stage, &mut inputs, record)?;
    refusals(stage, record)
}

fn case<B: Matmul>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record, shape: MatmulShape) -> Result<()> {
    let (b, MatmulShape { m, n, k }) = (stage.backend, shape);
    let [x, w, dy, old_dx] = [m * k, n * k, m * n, m * k].map(|len| stage.round(inputs.normal(len)));
    let (bias, old_dw) = (inputs.normal(n), inputs.normal(n * k));
    let (wide_x, wide_dy) = (wide(&x), wide(&dy));
    let (x, dy) = (stage.activations(&x)?, stage.activations(&dy)?);
    let (trained, staged_bias) = (stage.floats(&w)?, stage.floats(&bias)?);
    let frozen = b.prepare_weight(n, k, Host::F32(&w), Storage::F32)?;
    let half = b.prepare_weight(n, k, Host::F32(&w), Storage::Bf16)?;
    let half_values: Vec<f64> = w.iter().map(|&v| bf16::from_f32(v).to_f64()).collect();
    for (kind, matrix, w) in [
        ("frozen", Matrix::Frozen(&frozen), &wide(&w)),
        ("bf16", Matrix::Frozen(&half), &half_values),
        ("trained", Matrix::Trained(trained.view()), &wide(&w)),
    ] {
        let name = format!("{m}×{n}×{k} {kind}");
        let mut y = stage.activation_output(m * n)?;
        b.matmul_forward(shape, x.view(), matrix, None, y.view_mut())?;
        let want = reference::forward(shape, &wide_x, w, None);
        record.compare(format!("matmul_forward {name}"), &stage.read(&y)?, &want, rounded(stage, k));
        b.matmul_forward(shape, x.view(), matrix, Some(staged_bias.view()), y.view_mut())?;
        let want = reference::forward(shape, &wide_x, w, Some(&wide(&bias)));
        record.compare(format!("matmul_forward {name} bias"), &stage.read(&y)?, &want, rounded(stage, k));
        let want = reference::backward_input(shape, &wide_dy, w);
        let mut dx = stage.activation_output(m * k)?;
        b.matmul_backward_input(shape, dy.view(), matrix, dx.view_mut(), false)?;
        record.compare(format!("matmul_backward_input {name}"), &stage.read(&dx)?, &want, rounded(stage, n));
        let mut dx = stage.activations(&old_dx)?;
        b.matmul_backward_input(shape, dy.view(), matrix, dx.view_mut(), true)?;
        let (name, want) = (format!("matmul_backward_input {name} accumulate"), plus(&want, &old_dx));
        record.compare(name, &stage.read(&dx)?, &want, rounded(stage, n));
    }
    let mut dw = stage.floats(&old_dw)?;
    b.matmul_backward_weight(shape, dy.view(), x.view(), dw.view_mut())?;
    let want = plus(&reference::backward_weight(shape, &wide_dy, &wide_x), &old_dw);
    record.compare(format!("matmul_backward_weight {m}×{n}×{k}"), &stage.read(&dw)?, &want, tolerance(m));
    Ok(())
}

/// What was put into a frozen weight comes out again, from every source.
fn storage<B: Matmul>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record) -> Result<()> {
    let (b, n, k) = (stage.backend, 75, 19);
    let w = inputs.normal(n * k);
    let bits16: Vec<u16> = w.iter().map(|&v| half::f16::from_f32(v).to_bits()).collect();
    let bits: Vec<u16> = w.iter().map(|&v| bf16::from_f32(v).to_bits()).collect();
    let from16: Vec<f32> = bits16.iter().map(|&v| half::f16::from_bits(v).to_f32()).collect();
    let from: Vec<f32> = bits.iter().map(|&v| bf16::from_bits(v).to_f32()).collect();
    for (name, host, storage, want) in [
        ("f32 as f32", Host::F32(&w), Storage::F32, &w),
        ("f16 as f32", Host::F16(&bits16), Storage::F32, &from16),
        ("bf16 as f32", Host::Bf16(&bits), Storage::F32, &from),
        ("f32 as bf16", Host::F32(&w), Storage::Bf16, &from),
        ("bf16 as bf16", Host::Bf16(&bits), Storage::Bf16, &from),
    ] {
        let weight = b.prepare_weight(n, k, host, storage)?;
        let mut got = vec![0.0; 40 * k];
        b.read_weight(&weight, 30, 40, &mut got)?;
        // Activations in bf16 ask for weights in bf16.
        record.same(format!("read_weight {name}"), &got, &stage.round(want[30 * k..70 * k].to_vec()));
        record.refused("read_weight beyond the end", &b.read_weight(&weight, 40, 40, &mut got));
    }
    Ok(())
}

/// A row has the same bits alone, among others, and in another place.
fn alone<B: Matmul>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record) -> Result<()> {
    let (b, m, n, k) = (stage.backend, 300, 65, 97);
    let (x, w, dy) = (inputs.normal(m * k), inputs.normal(n * k), inputs.normal(m * n));
    let weight = b.prepare_weight(n, k, Host::F32(&w), Storage::F32)?;
    let matrix = Matrix::Frozen(&weight);
    let products = |rows: std::ops::Range<usize>| -> Result<(Vec<f32>, Vec<f32>)> {
        let shape = MatmulShape { m: rows.len(), n, k };
        let x = stage.activations(&x[rows.start * k..rows.end * k])?;
        let dy = stage.activations(&dy[rows.start * n..rows.end * n])?;
        let (mut y, mut dx) = (stage.activation_output(rows.len() * n)?, stage.activation_output(rows.len() * k)?);
        b.matmul_forward(shape, x.view(), matrix, None, y.view_mut())?;
        b.matmul_backward_input(shape, dy.view(), matrix, dx.view_mut(), false)?;
        Ok((stage.read(&y)?, stage.read(&dx)?))
    };
    let (y, dx) = products(0..m)?;
    for rows in [0..1, 299..300, 17..30, 5..262, 250..260] {
        let (part_y, part_dx) = products(rows.clone())?;
        record.same(format!("matmul_forward rows {rows:?} of {m}"), &part_y, &y[rows.start * n..rows.end * n]);
        let name = format!("matmul_backward_input rows {rows:?} of {m}");
        record.same(name, &part_dx, &dx[rows.start * k..rows.end * k]);
    }
    Ok(())
}

fn refusals<B: Matmul>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let b = stage.backend;
    let weight = b.prepare_weight(4, 3, Host::F32(&[1.0; 12]), Storage::F32)?;
    let matrix = Matrix::Frozen(&weight);
    let (x, mut y) = (stage.activations(&[1.0; 6])?, stage.activation_output(8)?);
    for (m, n, k) in [(3, 4, 3), (2, 3, 3), (2, 4, 2)] {
        let shape = MatmulShape { m, n, k };
        let outcome = b.matmul_forward(shape, x.view(), matrix, None, y.view_mut());
        record.refused(format!("matmul_forward as {m}×{n}×{k}"), &outcome);
    }
    let outcome = b.prepare_weight(4, 3, Host::F32(&[1.0; 11]), Storage::F32);
    record.refused("prepare_weight of too few numbers", &outcome);
    let outcome = b.prepare_weight(1, 1, Host::I32(&[1]), Storage::F32);
    record.refused("prepare_weight of integers", &outcome);
    Ok(())
}
