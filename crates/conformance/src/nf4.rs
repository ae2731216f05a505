//! Suite of `nf4`.

use tunesmith_ops::nf4::{FEW_ROWS, NESTED_BLOCK, NF4, code_book, double_quantize, midpoints, reference};
use tunesmith_ops::{Embedding, Lora, LoraMatmul, MatmulShape, Matrix, Nf4, Nf4Matrix, Nf4Options, Nf4Scales, Result};

use crate::inputs::wide;
use crate::matmul::{plus, rounded, shapes, tolerance};
use crate::{Inputs, Record, Stage};

/// Block sizes of the contract.
const BLOCK_SIZES: [usize; 3] = [64, 128, 4096];

/// A quantised matrix that owns its parts.
pub struct Quantized {
    options: Nf4Options,
    codes: Vec<u8>,
    absmax: Vec<f32>,
    scale_codes: Vec<u8>,
    nested: Vec<f32>,
    offset: f32,
}

impl Quantized {
    /// By the reference.
    pub fn new(w: &[f32], options: Nf4Options) -> Self {
        let (mut codes, mut absmax) = (vec![0; w.len().div_ceil(2)], vec![0.0; options.blocks(w.len())]);
        reference::quantize(w, options.block_size, &mut codes, &mut absmax);
        let second = double_quantize(&absmax);
        Self { options, codes, absmax, scale_codes: second.codes, nested: second.nested, offset: second.offset }
    }

    /// As a backend takes it.
    pub fn matrix(&self) -> Nf4Matrix<'_> {
        let scales = if self.options.double_quant {
            let (codes, nested, offset) = (&self.scale_codes, &self.nested, self.offset);
            Nf4Scales::Double { codes, nested, code_book: code_book(), offset }
        } else {
            Nf4Scales::Plain(&self.absmax)
        };
        Nf4Matrix { block_size: self.options.block_size, codes: &self.codes, scales }
    }

    /// By the reference.
    pub fn dequantized(&self, elements: usize) -> Vec<f32> {
        let mut values = vec![0.0; elements];
        reference::dequantize(&self.matrix(), 0, &mut values);
        values
    }
}

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Nf4 + LoraMatmul + Embedding>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    quantize(stage, &mut inputs, record)?;
    let kinds = BLOCK_SIZES
        .into_iter()
        .flat_map(|block_size| [false, true].map(|double_quant| Nf4Options { block_size, double_quant }));
    let kinds: Vec<Nf4Options> = kinds.collect();
    for (index, shape) in stage.cases(shapes().enumerate()) {
        case(stage, &mut inputs, record, shape, kinds[index % kinds.len()])?;
    }
    // Rows on both sides of what a step of decoding has; pieces of eight that a warp shares out evenly, and not.
    let few = [(1, 37, 520), (2, 3, 1032), (4, 9, 264), (5, 2, 96), (32, 9, 104), (33, 9, 104), (1, 8, 9001)];
    for (index, (m, n, k)) in stage.cases(few.into_iter().enumerate()) {
        case(stage, &mut inputs, record, MatmulShape { m, n, k }, kinds[index % kinds.len()])?;
    }
    for (m, n, k) in [(33, 2100, 65), (5, 65, 2100), (1100, 40, 64), (33, 320, 640)] {
        for options in stage.cases(&kinds) {
            case(stage, &mut inputs, record, MatmulShape { m, n, k }, *options)?;
        }
    }
    lora(stage, &mut inputs, record)?;
    rounding(stage, &mut inputs, record)?;
    alone(stage, &mut inputs, record)?;
    refusals(stage, record);
    Ok(())
}

/// Codes and scales, to the bit: every length around a block, zeros, ties, the smallest and the largest numbers.
fn quantize<B: Nf4 + LoraMatmul + Embedding>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
) -> Result<()> {
    let mut cases: Vec<(String, Vec<f32>)> = Vec::new();
    for len in [0, 1, 2, 31, 63, 64, 65, 127, 4095, 4096, 4097, 70_001] {
        cases.push((format!("{len} normal"), inputs.finite(len)));
    }
    let ties = midpoints().into_iter().flat_map(|m| [m, m.next_up(), m.next_down()]).chain(NF4);
    cases.push(("ties".to_owned(), ties.chain(midpoints()).take(64).collect::<Vec<_>>().repeat(64)));
    cases.push(("zeros".to_owned(), vec![0.0; 130]));
    cases.push(("subnormal".to_owned(), inputs.finite(200).iter().map(|x| x * 1e-39).collect()));
    cases.push(("huge".to_owned(), inputs.finite(200).iter().map(|x| x * 1e37).collect()));
    for (name, w) in &cases {
        for block_size in BLOCK_SIZES {
            let want = Quantized::new(w, Nf4Options { block_size, double_quant: false });
            let (mut codes, mut absmax) = (vec![0; w.len().div_ceil(2)], vec![f32::NAN; w.len().div_ceil(block_size)]);
            stage.backend.nf4_quantize(w, block_size, &mut codes, &mut absmax)?;
            let name = format!("nf4_quantize {name} block {block_size}");
            record.same(format!("{name} scales"), &absmax, &want.absmax);
            let floats = |bytes: &[u8]| -> Vec<f32> { bytes.iter().map(|&byte| f32::from(byte)).collect() };
            record.same(format!("{name} codes"), &floats(&codes), &floats(&want.codes));
        }
    }
    Ok(())
}

fn case<B: Nf4 + LoraMatmul + Embedding>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: MatmulShape,
    options: Nf4Options,
) -> Result<()> {
    let (b, MatmulShape { m, n, k }) = (stage.backend, shape);
    let [x, dy, old_dx] = [m * k, m * n, m * k].map(|len| stage.round(inputs.normal(len)));
    let bias = inputs.normal(n);
    let quantized = Quantized::new(&inputs.finite(n * k), options);
    let values = quantized.dequantized(n * k);
    let weight = b.nf4_prepare(n, k, quantized.matrix())?;
    let name = format!("{m}×{n}×{k} nf4 {} {}", options.block_size, options.double_quant);
    let mut got = vec![f32::NAN; n * k];
    b.read_weight(&weight, 0, n, &mut got)?;
    record.same(format!("read_weight {name}"), &got, &values);
    let values = stage.round(values);
    let (w, matrix) = (wide(&values), Matrix::Frozen(&weight));
    let (staged_x, staged_dy, staged_bias) = (stage.activations(&x)?, stage.activations(&dy)?, stage.floats(&bias)?);
    for with_bias in [false, true] {
        let mut y = stage.activation_output(m * n)?;
        let view = with_bias.then(|| staged_bias.view());
        b.matmul_forward(shape, staged_x.view(), matrix, view, y.view_mut())?;
        let bias = with_bias.then(|| wide(&bias));
        let want = tunesmith_ops::matmul::reference::forward(shape, &wide(&x), &w, bias.as_deref());
        record.compare(format!("matmul_forward {name} bias {with_bias}"), &stage.read(&y)?, &want, rounded(stage, k));
    }
    let want = tunesmith_ops::matmul::reference::backward_input(shape, &wide(&dy), &w);
    let mut dx = stage.activation_output(m * k)?;
    b.matmul_backward_input(shape, staged_dy.view(), matrix, dx.view_mut(), false)?;
    record.compare(format!("matmul_backward_input {name}"), &stage.read(&dx)?, &want, rounded(stage, n));
    let mut dx = stage.activations(&old_dx)?;
    b.matmul_backward_input(shape, staged_dy.view(), matrix, dx.view_mut(), true)?;
    let want = plus(&want, &old_dx);
    record.compare(format!("matmul_backward_input {name} accumulate"), &stage.read(&dx)?, &want, rounded(stage, n));
    if n > 0 {
        let ids = inputs.integers(m, n);
        let mut rows = stage.activation_output(m * k)?;
        b.embedding_forward(n, k, matrix, stage.integers(&ids)?.view(), rows.view_mut())?;
        let want: Vec<f32> = ids.iter().flat_map(|&id| values[id as usize * k..][..k].to_vec()).collect();
        record.same(format!("embedding_forward {name}"), &stage.read(&rows)?, &want);
    }
    Ok(())
}

/// With an adapter, against the adapter on the dequantised weight.
fn lora<B: Nf4 + LoraMatmul + Embedding>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record) -> Result<()> {
    use tunesmith_ops::lora_matmul::reference::{Adapter, backward, forward};
    for (m, n, k, r) in [(1, 70, 96, 8), (6, 5, 264, 40), (33, 70, 96, 8), (600, 257, 130, 16)] {
        let (b, shape, scale) = (stage.backend, MatmulShape { m, n, k }, 0.5);
        let quantized = Quantized::new(&inputs.finite(n * k), Nf4Options { block_size: 64, double_quant: true });
        let weight = b.nf4_prepare(n, k, quantized.matrix())?;
        let w = wide(&stage.round(quantized.dequantized(n * k)));
        let (x, dy) = (stage.round(inputs.normal(m * k)), stage.round(inputs.normal(m * n)));
        let (lora_a, lora_b, bias) = (inputs.normal(r * k), inputs.normal(n * r), inputs.normal(n));
        let (wide_a, wide_b) = (wide(&lora_a), wide(&lora_b));
        let adapter = Adapter { r, a: &wide_a, b: &wide_b, scale: f64::from(scale) };
        let (staged_x, staged_dy) = (stage.activations(&x)?, stage.activations(&dy)?);
        let (a, lb, staged_bias) = (stage.floats(&lora_a)?, stage.floats(&lora_b)?, stage.floats(&bias)?);
        let lora = Lora { r, a: a.view(), b: lb.view(), scale };
        let (mut xa, mut y) = (stage.activation_output(m * r)?, stage.activation_output(m * n)?);
        let matrix = Matrix::Frozen(&weight);
        let bias_view = Some(staged_bias.view());
        b.lora_forward(shape, staged_x.view(), None, matrix, bias_view, lora, xa.view_mut(), y.view_mut())?;
        let (_, want) = forward(shape, &wide(&x), None, &w, Some(&wide(&bias)), adapter);
        record.compare(
            format!("lora_forward {m}×{n}×{k} nf4"),
            &stage.read(&y)?,
            &want,
            stage.tolerance(tolerance(k + r), 1e-2),
        );
        let (mut dyb, mut da, mut db) =
            (stage.activation_output(m * r)?, stage.floats(&vec![0.0; r * k])?, stage.floats(&vec![0.0; n * r])?);
        let mut dx = stage.activation_output(m * k)?;
        let (views, dx_view) = ((dyb.view_mut(), da.view_mut(), db.view_mut()), Some(dx.view_mut()));
        let (dy_view, x_view) = (staged_dy.view(), staged_x.view());
        b.lora_backward(shape, dy_view, x_view, xa.view(), matrix, lora, views.0, views.1, views.2, dx_view, false)?;
        let want = backward(shape, &wide(&dy), &wide(&x), &wide(&stage.read(&xa)?), &w, adapter);
        record.compare(
            format!("lora_backward {m}×{n}×{k} nf4 dx"),
            &stage.read(&dx)?,
            &want.dx,
            stage.tolerance(tolerance(n + r), 1e-2),
        );
    }
    Ok(())
}

/// A weight has its value in the activations' dtype, whichever way a product goes: differences of two of them are exact.
fn rounding<B: Nf4 + LoraMatmul + Embedding>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
) -> Result<()> {
    let (b, n, k) = (stage.backend, 40, 64);
    let quantized = Quantized::new(&inputs.finite(n * k), Nf4Options { block_size: 64, double_quant: true });
    let (weight, values) = (b.nf4_prepare(n, k, quantized.matrix())?, stage.round(quantized.dequantized(n * k)));
    for m in [1, 2, FEW_ROWS + 1] {
        let mut x = vec![0.0; m * k];
        let mut want = Vec::new();
        for (i, row) in x.chunks_exact_mut(k).enumerate() {
            let (plus, minus) = (i % k, (i + 7) % k);
            (row[plus], row[minus]) = (1.0, -1.0);
            want.extend(values.chunks_exact(k).map(|w| w[plus] - w[minus]));
        }
        let (x, mut y) = (stage.activations(&x)?, stage.activation_output(m * n)?);
        b.matmul_forward(MatmulShape { m, n, k }, x.view(), Matrix::Frozen(&weight), None, y.view_mut())?;
        record.same(format!("matmul_forward nf4 differences, {m} rows"), &stage.read(&y)?, &stage.round(want));
    }
    Ok(())
}

/// A row has the same bits alone, among others, and in another place; the others may be few, or many.
fn alone<B: Nf4 + LoraMatmul + Embedding>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
) -> Result<()> {
    let (b, m, n, k) = (stage.backend, 1100, 65, 97);
    let quantized = Quantized::new(&inputs.finite(n * k), Nf4Options { block_size: 64, double_quant: true });
    let weight = b.nf4_prepare(n, k, quantized.matrix())?;
    let matrix = Matrix::Frozen(&weight);
    let (x, dy) = (inputs.normal(m * k), inputs.normal(m * n));
    let products = |rows: std::ops::Range<usize>| -> Result<(Vec<f32>, Vec<f32>)> {
        let shape = MatmulShape { m: rows.len(), n, k };
        let (x, dy) = (
            stage.activations(&x[rows.start * k..rows.end * k])?,
            stage.activations(&dy[rows.start * n..rows.end * n])?,
        );
        let (mut y, mut dx) = (stage.activation_output(rows.len() * n)?, stage.activation_output(rows.len() * k)?);
        b.matmul_forward(shape, x.view(), matrix, None, y.view_mut())?;
        b.matmul_backward_input(shape, dy.view(), matrix, dx.view_mut(), false)?;
        Ok((stage.read(&y)?, stage.read(&dx)?))
    };
    for (all, parts) in [
        (0..m, vec![0..FEW_ROWS + 1, 1060..1100, 500..1013]),
        (60..60 + FEW_ROWS, vec![60..61, 91..92, 67..71, 70..89]),
    ] {
        let (y, dx) = products(all.clone())?;
        for rows in parts {
            let (part_y, part_dx) = products(rows.clone())?;
            let place = rows.start - all.start..rows.end - all.start;
            let name = format!("nf4 rows {rows:?} of {all:?}");
            record.same(format!("matmul_forward {name}"), &part_y, &y[place.start * n..place.end * n]);
            record.same(format!("matmul_backward_input {name}"), &part_dx, &dx[place.start * k..place.end * k]);
        }
    }
    Ok(())
}

fn refusals<B: Nf4 + LoraMatmul + Embedding>(stage: &Stage<'_, B>, record: &mut Record) {
    let b = stage.backend;
    let quantized = Quantized::new(&[1.0; 12 * 64], Nf4Options { block_size: 64, double_quant: true });
    let whole = quantized.matrix();
    let Nf4Scales::Double { codes, nested, code_book, offset } = whole.scales else { return };
    let scales = |codes, nested, code_book| Nf4Scales::Double { codes, nested, code_book, offset };
    for (name, matrix) in [
        ("too few codes", Nf4Matrix { codes: &whole.codes[1..], ..whole }),
        ("too few scales", Nf4Matrix { scales: scales(&codes[1..], nested, code_book), ..whole }),
        ("too many nested scales", Nf4Matrix { scales: scales(codes, &[1.0; 2], code_book), ..whole }),
        ("a short code book", Nf4Matrix { scales: scales(codes, nested, &code_book[1..]), ..whole }),
        ("blocks of 63", Nf4Matrix { block_size: 63, ..whole }),
        ("too many plain scales", Nf4Matrix { scales: Nf4Scales::Plain(&[1.0; NESTED_BLOCK]), ..whole }),
    ] {
        record.refused(format!("nf4_prepare of {name}"), &b.nf4_prepare(12, 64, matrix));
    }
    let outcome = b.nf4_quantize(&[1.0; 65], 64, &mut [0; 32], &mut [0.0; 2]);
    record.refused("nf4_quantize into too few codes", &outcome);
    record.refused("nf4_quantize in blocks of 32", &b.nf4_quantize(&[1.0; 32], 32, &mut [0; 16], &mut [0.0]));
}
