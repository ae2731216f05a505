//! Suite of `grouped_matmul`.

use tunesmith_ops::grouped_matmul::reference;
use tunesmith_ops::{Backend, GroupedShape, Host, MatmulShape, Matrix, Nf4Options, Result, Stack, Storage};

use crate::inputs::wide;
use crate::matmul::{plus, rounded, tolerance};
use crate::nf4::Quantized;
use crate::{Inputs, Record, Stage};

/// First rows of the groups: the first, the last and two in the middle empty; one; of one row; none; all rows in the last;
/// primes, the last large.
const STARTS: [&[i32]; 6] =
    [&[0, 0, 1, 1, 1, 65, 65], &[0, 65], &[0, 1], &[0, 0, 0], &[0, 0, 0, 0, 0, 0, 257], &[0, 7, 138, 401]];

/// Out and in features: with small ones and primes, and a pair whose rows are aligned to 16 bytes.
const SIZES: [(usize, usize); 5] = [(1, 1), (15, 33), (33, 15), (33, 33), (72, 168)];

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Backend>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for (starts, (n, k)) in stage.cases(STARTS.into_iter().flat_map(|starts| SIZES.map(|size| (starts, size)))) {
        let m = starts[starts.len() - 1] as usize;
        let shape = GroupedShape { m, groups: starts.len() - 1, n, k };
        case(stage, &mut inputs, record, shape, starts)?;
    }
    // More groups than lanes of a warp, more tiles than a card holds at once, and more than one tile of features either way.
    let starts: Vec<i32> = (0..=41).map(|group| 5 * group).collect();
    case(stage, &mut inputs, record, GroupedShape { m: 205, groups: 41, n: 136, k: 40 }, &starts)?;
    // Rows enough for large tiles in every group.
    case(stage, &mut inputs, record, GroupedShape { m: 268, groups: 2, n: 136, k: 136 }, &[0, 138, 268])?;
    not_a_number(stage, &mut inputs, record)?;
    starts_that_are_none(stage, record)?;
    refusals(stage, record)
}

fn frozen<B: Backend>(stage: &Stage<'_, B>, n: usize, k: usize, w: &[f32]) -> Result<Vec<B::Weight>> {
    w.chunks(n * k).map(|w| stage.backend.prepare_weight(n, k, Host::F32(w), Storage::F32)).collect()
}

fn case<B: Backend>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: GroupedShape,
    starts: &[i32],
) -> Result<()> {
    let (b, GroupedShape { m, groups, n, k }) = (stage.backend, shape);
    let (x, dy) = (stage.round(inputs.normal(m * k)), stage.round(inputs.normal(m * n)));
    let w = stage.round(inputs.finite(groups * n * k));
    let old = inputs.normal(groups * n * k);
    let quantized: Vec<Quantized> = w.chunks(n * k).map(|w| Quantized::new(w, FOUR_BITS)).collect();
    let expanded: Vec<f32> = quantized.iter().flat_map(|matrix| matrix.dequantized(n * k)).collect();
    let in_four_bits = quantized.iter().map(|matrix| b.nf4_prepare(n, k, matrix.matrix())).collect::<Result<_>>()?;
    let [dense, in_four_bits] =
        [b.stack_weights(n, k, frozen(stage, n, k, &w)?)?, b.stack_weights(n, k, in_four_bits)?];
    let trained = stage.floats(&w)?;
    let (staged_x, staged_dy) = (stage.activations(&x)?, stage.activations(&dy)?);
    let staged_starts = stage.integers(starts)?;
    for (kind, stack, w) in [
        ("frozen", Stack::Frozen(&dense), &w),
        ("trained", Stack::Trained(trained.view()), &w),
        ("four bits", Stack::Frozen(&in_four_bits), &stage.round(expanded)),
    ] {
        let name = format!("{m}×{n}×{k} in {groups} {kind}");
        let (mut y, mut dx) = (stage.activation_output(m * n)?, stage.activation_output(m * k)?);
        b.grouped_forward(shape, staged_x.view(), stack, staged_starts.view(), y.view_mut())?;
        let want = reference::forward(shape, &wide(&x), &wide(w), starts);
        let y = stage.read(&y)?;
        record.compare(format!("grouped_forward {name}"), &y, &want, rounded(stage, k));
        b.grouped_backward_input(shape, staged_dy.view(), stack, staged_starts.view(), dx.view_mut())?;
        let want = reference::backward_input(shape, &wide(&dy), &wide(w), starts);
        let dx = stage.read(&dx)?;
        record.compare(format!("grouped_backward_input {name}"), &dx, &want, rounded(stage, n));
        let [own_y, own_dx] = one_by_one(stage, shape, [&x, &dy], w, starts)?;
        record.same(format!("grouped_forward {name} beside matmul"), &y, &own_y);
        record.same(format!("grouped_backward_input {name} beside matmul"), &dx, &own_dx);
    }
    let mut dw = stage.floats(&old)?;
    b.grouped_backward_weight(shape, staged_dy.view(), staged_x.view(), staged_starts.view(), dw.view_mut())?;
    let want = plus(&reference::backward_weight(shape, &wide(&dy), &wide(&x), starts), &old);
    let name = format!("grouped_backward_weight {m}×{n}×{k} in {groups}");
    record.compare(name, &stage.read(&dw)?, &want, tolerance(m));
    Ok(())
}

/// How the suite's matrices of four bits are held.
const FOUR_BITS: Nf4Options = Nf4Options { block_size: 64, double_quant: true };

/// Both products, group after group, by `matmul`.
fn one_by_one<B: Backend>(
    stage: &Stage<'_, B>,
    shape: GroupedShape,
    [x, dy]: [&[f32]; 2],
    w: &[f32],
    starts: &[i32],
) -> Result<[Vec<f32>; 2]> {
    let (b, GroupedShape { n, k, .. }) = (stage.backend, shape);
    let mut all = [Vec::new(), Vec::new()];
    for (pair, weight) in starts.windows(2).zip(frozen(stage, n, k, w)?) {
        let (first, end) = (pair[0] as usize, pair[1] as usize);
        let (one, matrix) = (MatmulShape { m: end - first, n, k }, Matrix::Frozen(&weight));
        let (x, dy) = (stage.activations(&x[first * k..end * k])?, stage.activations(&dy[first * n..end * n])?);
        let (mut y, mut dx) = (stage.activation_output(one.m * n)?, stage.activation_output(one.m * k)?);
        b.matmul_forward(one, x.view(), matrix, None, y.view_mut())?;
        b.matmul_backward_input(one, dy.view(), matrix, dx.view_mut(), false)?;
        all[0].extend(stage.read(&y)?);
        all[1].extend(stage.read(&dx)?);
    }
    Ok(all)
}

/// A NaN in a row, in a gradient or in a matrix stays in its row and its group.
fn not_a_number<B: Backend>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record) -> Result<()> {
    let (starts, b) = ([0, 3, 3, 70, 72], stage.backend);
    let shape = GroupedShape { m: 72, groups: 4, n: 17, k: 19 };
    let GroupedShape { m, groups, n, k } = shape;
    let [mut x, mut dy, mut w] = [m * k, m * n, groups * n * k].map(|len| stage.round(inputs.normal(len)));
    (x[2 * k + 5], dy[70 * n + 3], w[2 * n * k + 7]) = (f32::NAN, f32::NAN, f32::NAN);
    let stack = b.stack_weights(n, k, frozen(stage, n, k, &w)?)?;
    let (staged_x, staged_dy, staged_starts) =
        (stage.activations(&x)?, stage.activations(&dy)?, stage.integers(&starts)?);
    let (mut y, mut dx) = (stage.activation_output(m * n)?, stage.activation_output(m * k)?);
    let mut dw = stage.floats(&vec![0.0; groups * n * k])?;
    b.grouped_forward(shape, staged_x.view(), Stack::Frozen(&stack), staged_starts.view(), y.view_mut())?;
    b.grouped_backward_input(shape, staged_dy.view(), Stack::Frozen(&stack), staged_starts.view(), dx.view_mut())?;
    b.grouped_backward_weight(shape, staged_dy.view(), staged_x.view(), staged_starts.view(), dw.view_mut())?;
    let want = reference::forward(shape, &wide(&x), &wide(&w), &starts);
    record.compare("grouped_forward with NaN", &stage.read(&y)?, &want, rounded(stage, k));
    let want = reference::backward_input(shape, &wide(&dy), &wide(&w), &starts);
    record.compare("grouped_backward_input with NaN", &stage.read(&dx)?, &want, rounded(stage, n));
    let want = reference::backward_weight(shape, &wide(&dy), &wide(&x), &starts);
    record.compare("grouped_backward_weight with NaN", &stage.read(&dw)?, &want, tolerance(m));
    Ok(())
}

/// Starts that do not ascend from 0 to m are refused, or, on a device whose host does not see them, marked.
fn starts_that_are_none<B: Backend>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let (x, w) = (stage.activations(&[1.0; 4])?, stage.floats(&[1.0; 8])?);
    let (w, shape) = (Stack::Trained(w.view()), GroupedShape { m: 2, groups: 2, n: 2, k: 2 });
    for starts in [[0, 1, 3], [1, 1, 2], [0, 3, 2], [0, -1, 2], [0, 1, 1]] {
        let staged = stage.integers(&starts)?;
        let (mut y, mut dx, mut dw) =
            (stage.activation_output(4)?, stage.activation_output(4)?, stage.floats(&[1.0; 8])?);
        let outcomes = [
            stage.backend.grouped_forward(shape, x.view(), w, staged.view(), y.view_mut()),
            stage.backend.grouped_backward_input(shape, x.view(), w, staged.view(), dx.view_mut()),
            stage.backend.grouped_backward_weight(shape, x.view(), x.view(), staged.view(), dw.view_mut()),
        ];
        for (op, (outcome, got)) in
            ["forward", "backward_input", "backward_weight"].into_iter().zip(outcomes.iter().zip([&y, &dx, &dw]))
        {
            let name = format!("grouped_{op} of 2 groups from {starts:?}");
            if outcome.is_ok() {
                let got = stage.read(got)?;
                record.compare(name, &got, &vec![f64::NAN; got.len().max(4)], 0.0);
            } else {
                record.refused(name, outcome);
            }
        }
    }
    Ok(())
}

fn refusals<B: Backend>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let b = stage.backend;
    let (x, w, mut y) = (stage.activations(&[1.0; 4])?, stage.floats(&[1.0; 8])?, stage.activation_output(4)?);
    for (groups, starts) in [(2, &[0, 2][..]), (1, &[0, 2]), (3, &[0, 1, 2, 2])] {
        let (shape, staged) = (GroupedShape { m: 2, groups, n: 2, k: 2 }, stage.integers(starts)?);
        let outcome = b.grouped_forward(shape, x.view(), Stack::Trained(w.view()), staged.view(), y.view_mut());
        record.refused(format!("grouped_forward of {groups} of 2 matrices, starts {starts:?}"), &outcome);
    }
    let dense = || frozen(stage, 2, 2, &[1.0; 8]);
    record.refused("a stack of matrices of other sizes", &b.stack_weights(2, 3, dense()?));
    let stack = b.stack_weights(2, 2, dense()?)?;
    let (shape, starts) = (GroupedShape { m: 1, groups: 1, n: 2, k: 2 }, stage.integers(&[0, 1])?);
    let outcome =
        b.grouped_forward(shape, x.view().part(0, 2)?, Stack::Frozen(&stack), starts.view(), y.view_mut().part(0, 2)?);
    record.refused("grouped_forward of 1 group with 2 matrices", &outcome);
    Ok(())
}
