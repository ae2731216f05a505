//! Suite of `grouped_matmul`.

use tunesmith_ops::grouped_matmul::reference;
use tunesmith_ops::{Backend, Code, GroupedShape, Host, Result, Stack, Storage};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// First rows of five groups, of which the first, the last and two in the middle are empty; of one; of none.
const STARTS: [&[i32]; 4] = [&[0, 0, 1, 1, 1, 65, 65], &[0, 65], &[0, 1], &[0, 0, 0]];

/// Runs the suite; on a backend that refuses mixtures it says so.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Backend>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = Inputs::new(seed);
    for starts in STARTS {
        for (n, k) in [(1, 1), (15, 33), (33, 15), (33, 33)] {
            let m = starts[starts.len() - 1] as usize;
            let shape = GroupedShape { m, groups: starts.len() - 1, n, k };
            match case(stage, &mut inputs, record, shape, starts) {
                Err(error) if error.code == Code::ModelUnsupported => {
                    println!("skipped: {error}");
                    return Ok(());
                }
                outcome => outcome?,
            }
        }
    }
    refusals(stage, record)
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
    let w = stage.round(inputs.normal(groups * n * k));
    let old = inputs.normal(groups * n * k);
    let frozen = w.chunks(n * k).map(|w| b.prepare_weight(n, k, Host::F32(w), Storage::F32));
    let frozen = frozen.collect::<Result<Vec<_>>>()?;
    let trained = stage.floats(&w)?;
    let (staged_x, staged_dy) = (stage.activations(&x)?, stage.activations(&dy)?);
    let staged_starts = stage.integers(starts)?;
    let tolerance = |length: usize| stage.tolerance(2e-6 * (length.max(1) as f64).sqrt(), 1e-2);
    let want_y = reference::forward(shape, &wide(&x), &wide(&w), starts);
    let want_dx = reference::backward_input(shape, &wide(&dy), &wide(&w), starts);
    for (kind, stack) in [("frozen", Stack::Frozen(&frozen[..])), ("trained", Stack::Trained(trained.view()))] {
        let name = format!("{m}×{n}×{k} in {groups} {kind}");
        let (mut y, mut dx) = (stage.activation_output(m * n)?, stage.activation_output(m * k)?);
        b.grouped_forward(shape, staged_x.view(), stack, staged_starts.view(), y.view_mut())?;
        record.compare(format!("grouped_forward {name}"), &stage.read(&y)?, &want_y, tolerance(k));
        b.grouped_backward_input(shape, staged_dy.view(), stack, staged_starts.view(), dx.view_mut())?;
        record.compare(format!("grouped_backward_input {name}"), &stage.read(&dx)?, &want_dx, tolerance(n));
    }
    let mut dw = stage.floats(&old)?;
    b.grouped_backward_weight(shape, staged_dy.view(), staged_x.view(), staged_starts.view(), dw.view_mut())?;
    let sum = reference::backward_weight(shape, &wide(&dy), &wide(&x), starts);
    let want: Vec<f64> = sum.iter().zip(&old).map(|(sum, old)| sum + f64::from(*old)).collect();
    let name = format!("grouped_backward_weight {m}×{n}×{k} in {groups}");
    record.compare(name, &stage.read(&dw)?, &want, tolerance(m));
    Ok(())
}

fn refusals<B: Backend>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let (x, w) = (stage.activations(&[1.0; 4])?, stage.floats(&[1.0; 8])?);
    let mut y = stage.activation_output(4)?;
    for (groups, starts) in [(2, &[0, 1, 3][..]), (2, &[1, 1, 2]), (2, &[0, 3, 2]), (2, &[0, 2]), (1, &[0, 2])] {
        let shape = GroupedShape { m: 2, groups, n: 2, k: 2 };
        let staged = stage.integers(starts)?;
        let outcome =
            stage.backend.grouped_forward(shape, x.view(), Stack::Trained(w.view()), staged.view(), y.view_mut());
        record.refused(format!("grouped_forward of {groups} groups from {starts:?}"), &outcome);
    }
    Ok(())
}
