//! Suite of `cross_entropy`.

use tunesmith_ops::cross_entropy::reference;
use tunesmith_ops::{Backend, IGNORE_INDEX, Result};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Backend>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = Inputs::new(seed);
    for v in [1, 15, 16, 17, 512, 49152] {
        let m = 5;
        let mut logits: Vec<_> = inputs.normal(m * v).iter().map(|z| 4.0 * z).collect();
        let mut labels = inputs.integers(m, v);
        labels[1] = IGNORE_INDEX;
        // The last row's label is its largest logit, with an equal one behind it.
        let last = &mut logits[(m - 1) * v..];
        last[v / 2..].fill(90.0);
        labels[m - 1] = (v / 2) as i32;
        let weights = inputs.uniform(m, 2.0);
        case(stage, record, &format!("v {v}"), v, &logits, &labels, &weights)?;
    }
    let mut extreme = inputs.uniform(2 * 33, 1e4);
    (extreme[3], extreme[4]) = (1e4, -1e4);
    case(stage, record, "logits ±1e4", 33, &extreme, &[4, 3], &[1.0, 0.5])?;
    let mut broken = inputs.normal(2 * 40);
    broken[17] = f32::NAN;
    case(stage, record, "a NaN", 40, &broken, &[2, 3], &[1.0, 1.0])?;
    let (mut logits, mut outputs) = (stage.floats(&[0.0; 4])?, Outputs::new(stage, 1)?);
    for label in [4, -1] {
        let labels = stage.integers(&[label])?;
        let [nll, entropy, correct] = &mut outputs.0;
        let outcome = stage.backend.cross_entropy(
            1,
            4,
            logits.view_mut(),
            labels.view(),
            None,
            nll.view_mut(),
            entropy.view_mut(),
            correct.view_mut(),
        );
        record.refused(format!("cross_entropy of label {label} in 4"), &outcome);
    }
    Ok(())
}

/// The three outputs per row.
struct Outputs<T>([crate::stage::Staged<T>; 3]);

impl<T> Outputs<T> {
    fn new<B: Backend<Buffer = T>>(stage: &Stage<'_, B>, m: usize) -> Result<Self> {
        Ok(Self([stage.output(m)?, stage.output(m)?, stage.output(m)?]))
    }
}

fn case<B: Backend>(
    stage: &Stage<'_, B>,
    record: &mut Record,
    name: &str,
    v: usize,
    logits: &[f32],
    labels: &[i32],
    weights: &[f32],
) -> Result<()> {
    let m = labels.len();
    let want = reference::cross_entropy(v, &wide(logits), labels, Some(&wide(weights)));
    let (staged_labels, staged_weights) = (stage.integers(labels)?, stage.floats(weights)?);
    for weighted in [true, false] {
        let (mut staged, mut outputs) = (stage.floats(logits)?, Outputs::new(stage, m)?);
        let [nll, entropy, correct] = &mut outputs.0;
        stage.backend.cross_entropy(
            m,
            v,
            staged.view_mut(),
            staged_labels.view(),
            weighted.then(|| staged_weights.view()),
            nll.view_mut(),
            entropy.view_mut(),
            correct.view_mut(),
        )?;
        let name = format!("cross_entropy {name} weighted {weighted}");
        let outputs = [("nll", &*stage.read(nll)?, &*want.nll), ("entropy", &*stage.read(entropy)?, &*want.entropy)];
        record.compare_all(&name, &outputs, 2e-6);
        record.compare(format!("{name} correct"), &stage.read(correct)?, &want.correct, 0.0);
        if weighted {
            let got = stage.read(&staged)?;
            record.compare(format!("{name} gradient"), &got, &want.gradient, 2e-6);
        }
    }
    Ok(())
}
