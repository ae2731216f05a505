//! Suite of `cross_entropy`.

use tunesmith_ops::cross_entropy::reference;
use tunesmith_ops::{CrossEntropy, IGNORE_INDEX, LogitTransform, Result};

use crate::inputs::wide;
use crate::{Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: CrossEntropy>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for v in [1, 15, 16, 17, 512, 49152] {
        let m = 5;
        let mut logits = stage.round(inputs.finite(m * v).iter().map(|z| 4.0 * z).collect());
        let mut labels = inputs.integers(m, v);
        labels[1] = IGNORE_INDEX;
        // The last row's label is its largest logit, with an equal one behind it.
        let last = &mut logits[(m - 1) * v..];
        last[v / 2..].fill(90.0);
        labels[m - 1] = (v / 2) as i32;
        let weights = inputs.uniform(m, 2.0);
        let rows = Rows { v, logits: &logits, labels: &labels, weights: &weights };
        for transform in TRANSFORMS {
            case(stage, record, &format!("v {v}"), transform, rows)?;
        }
    }
    let mut extreme = inputs.uniform(2 * 33, 1e4);
    (extreme[3], extreme[4]) = (1e4, -1e4);
    let extreme = stage.round(extreme);
    let rows = Rows { v: 33, logits: &extreme, labels: &[4, 3], weights: &[1.0, 0.5] };
    for transform in [LogitTransform::default(), LogitTransform { factor: 0.125, soft_cap: Some(3000.0) }] {
        case(stage, record, "logits ±1e4", transform, rows)?;
    }
    let mut broken = stage.round(inputs.finite(2 * 40));
    broken[17] = f32::NAN;
    let rows = Rows { v: 40, logits: &broken, labels: &[2, 3], weights: &[1.0, 1.0] };
    for transform in TRANSFORMS {
        case(stage, record, "a NaN", transform, rows)?;
    }
    refusals(stage, record)
}

/// As they are; Granite's; Gemma 2's; both at once.
const TRANSFORMS: [LogitTransform; 4] = [
    LogitTransform { factor: 1.0, soft_cap: None },
    LogitTransform { factor: 0.125, soft_cap: None },
    LogitTransform { factor: 1.0, soft_cap: Some(30.0) },
    LogitTransform { factor: -0.5, soft_cap: Some(12.0) },
];

/// A chunk of rows.
#[derive(Clone, Copy)]
struct Rows<'a> {
    v: usize,
    logits: &'a [f32],
    labels: &'a [i32],
    weights: &'a [f32],
}

fn refusals<B: CrossEntropy>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let (mut logits, mut outputs) = (stage.activations(&[0.0; 4])?, Outputs::new(stage, 1)?);
    for (label, soft_cap) in [(4, None), (-1, None), (0, Some(0.0)), (0, Some(f32::NAN))] {
        let labels = stage.integers(&[label])?;
        let [nll, entropy, correct] = &mut outputs.0;
        let outcome = stage.backend.cross_entropy(
            1,
            4,
            LogitTransform { factor: 1.0, soft_cap },
            logits.view_mut(),
            labels.view(),
            None,
            nll.view_mut(),
            entropy.view_mut(),
            correct.view_mut(),
        );
        let name = format!("cross_entropy of label {label} in 4, cap {soft_cap:?}");
        // A device may answer a label that is none with NaN.
        match outcome {
            Ok(()) if soft_cap.is_none() => record.compare(name, &stage.read(nll)?, &[f64::NAN], 0.0),
            outcome => record.refused(name, &outcome),
        }
    }
    Ok(())
}

/// The three outputs per row.
struct Outputs<T>([crate::stage::Staged<T>; 3]);

impl<T> Outputs<T> {
    fn new<B: CrossEntropy<Buffer = T>>(stage: &Stage<'_, B>, m: usize) -> Result<Self> {
        Ok(Self([stage.output(m)?, stage.output(m)?, stage.output(m)?]))
    }
}

fn case<B: CrossEntropy>(
    stage: &Stage<'_, B>,
    record: &mut Record,
    name: &str,
    transform: LogitTransform,
    rows: Rows<'_>,
) -> Result<()> {
    let Rows { v, logits, labels, weights } = rows;
    let m = labels.len();
    let want = reference::cross_entropy(v, transform, &wide(logits), labels, Some(&wide(weights)));
    let (staged_labels, staged_weights) = (stage.integers(labels)?, stage.floats(weights)?);
    for weighted in [true, false] {
        let (mut staged, mut outputs) = (stage.activations(logits)?, Outputs::new(stage, m)?);
        let [nll, entropy, correct] = &mut outputs.0;
        stage.backend.cross_entropy(
            m,
            v,
            transform,
            staged.view_mut(),
            staged_labels.view(),
            weighted.then(|| staged_weights.view()),
            nll.view_mut(),
            entropy.view_mut(),
            correct.view_mut(),
        )?;
        let LogitTransform { factor, soft_cap } = transform;
        let name = format!("cross_entropy {name} factor {factor} cap {soft_cap:?} weighted {weighted}");
        let outputs = [("nll", &*stage.read(nll)?, &*want.nll), ("entropy", &*stage.read(entropy)?, &*want.entropy)];
        record.compare_all(&name, &outputs, 2e-6);
        record.compare(format!("{name} correct"), &stage.read(correct)?, &want.correct, 0.0);
        if weighted {
            let got = stage.read(&staged)?;
            record.compare(format!("{name} gradient"), &got, &want.gradient, stage.tolerance(2e-6, 4e-3));
        }
    }
    Ok(())
}
