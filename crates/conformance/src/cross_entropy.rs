//! Suite of `cross_entropy`.

use tunesmith_ops::cross_entropy::reference;
use tunesmith_ops::{
    Coefficients, CrossEntropy, IGNORE_INDEX, LocalObjective, LogitTransform, Result, RowGradient, RowValues,
};

use crate::inputs::wide;
use crate::stage::Staged;
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
        // The last row's label is its largest logit, with an equal one after it.
        let last = &mut logits[(m - 1) * v..];
        last[v / 2..].fill(90.0);
        labels[m - 1] = (v / 2) as i32;
        let rows = Rows { v, logits, labels, factors: [(); 5].map(|()| inputs.uniform(m, 2.0)) };
        let name = format!("v {v}");
        let all = [ALL, &[BY_ENTROPY, BY_NOTHING]].concat();
        for (i, transform) in TRANSFORMS.into_iter().enumerate() {
            // What one transform shows of every coefficient the next two would show again.
            let is_short = v <= 512 && i % 3 == 0;
            rows.cases(stage, record, &name, transform, if is_short { &all } else { FEW })?;
        }
        rows.equal_bits(stage, record, &name, TRANSFORMS[0])?;
        rows.equal_bits(stage, record, &name, TRANSFORMS[3])?;
    }
    let mut extreme = inputs.uniform(2 * 33, 1e4);
    (extreme[3], extreme[4]) = (1e4, -1e4);
    let rows = Rows { v: 33, logits: stage.round(extreme), labels: vec![4, 3], factors: factors(&[1.0, 0.5]) };
    for transform in [LogitTransform::default(), LogitTransform { factor: 0.125, soft_cap: Some(3000.0) }] {
        rows.cases(stage, record, "logits ±1e4", transform, ALL)?;
    }
    for (name, spoiled, value) in [("a NaN", 17, f32::NAN), ("masked logits", 2, f32::NEG_INFINITY)] {
        let mut logits = stage.round(inputs.finite(2 * 40));
        logits[spoiled..20].fill(value);
        let rows = Rows { v: 40, logits, labels: vec![0, 3], factors: factors(&[1.0, 1.0]) };
        for transform in TRANSFORMS {
            rows.cases(stage, record, name, transform, FEW)?;
        }
    }
    refusals(stage, record);
    Ok(())
}

/// As they are; Granite's; Gemma 2's; both at once.
const TRANSFORMS: [LogitTransform; 4] = [
    LogitTransform { factor: 1.0, soft_cap: None },
    LogitTransform { factor: 0.125, soft_cap: None },
    LogitTransform { factor: 1.0, soft_cap: Some(30.0) },
    LogitTransform { factor: -0.5, soft_cap: Some(12.0) },
];

/// What takes the place of the logits.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Nothing,
    Local(LocalObjective),
    /// The values with a coefficient: log-probability, entropy, log-sum-exp, mean log-probability.
    Coefficients([bool; 4]),
}

/// What takes the place of the logits, and how many of the four optional values are asked for, from the first on.
type Ask = (Asked, usize);

const SMOOTHED: LocalObjective = LocalObjective::Nll { label_smoothing: 0.1, z_loss: 0.0 };
const WITH_Z_LOSS: LocalObjective = LocalObjective::Nll { label_smoothing: 0.0, z_loss: 0.02 };
const WITH_BOTH: LocalObjective = LocalObjective::Nll { label_smoothing: 0.25, z_loss: 0.01 };

/// The first and the eighth are those of a sparse stage.
const ALL: &[Ask] = &[
    (Asked::Local(LocalObjective::NLL), 0),
    (Asked::Nothing, 0),
    (Asked::Nothing, 4),
    (Asked::Local(LocalObjective::NLL), 4),
    (Asked::Local(SMOOTHED), 2),
    (Asked::Local(WITH_Z_LOSS), 1),
    (Asked::Local(WITH_BOTH), 0),
    (Asked::Coefficients([true; 4]), 4),
    (Asked::Local(LocalObjective::Dft), 3),
    (Asked::Coefficients([true, false, false, false]), 0),
    (Asked::Coefficients([false, false, true, false]), 0),
    (Asked::Coefficients([false, false, false, true]), 0),
];

/// Not where one token has all the probability: this gradient alone is below what float32 holds there.
const BY_ENTROPY: Ask = (Asked::Coefficients([false, true, false, false]), 0);

/// No coefficient at all: a gradient of zeros, but beside a NaN.
const BY_NOTHING: Ask = (Asked::Coefficients([false; 4]), 0);

/// Both ways through a row, and without a gradient.
const FEW: &[Ask] = &[(Asked::Local(LocalObjective::NLL), 0), (Asked::Nothing, 0), (Asked::Coefficients([true; 4]), 4)];

/// A chunk of rows.
struct Rows {
    v: usize,
    logits: Vec<f32>,
    labels: Vec<i32>,
    /// Weights, and the coefficients of the four values.
    factors: [Vec<f32>; 5],
}

/// Weights and coefficients of different sizes and signs.
fn factors(weights: &[f32]) -> [Vec<f32>; 5] {
    [1.0, -1.0, 0.5, 0.75, -0.25].map(|by| weights.iter().map(|weight| by * weight).collect())
}

/// The values of one call that were asked for, and what took the place of the logits.
struct Outcome {
    values: Vec<Vec<f32>>,
    gradient: Vec<f32>,
}

/// The reference's values in the order of `RowValues::named`.
fn named(values: &reference::Values) -> [(&'static str, &[f64]); 7] {
    [
        ("log_prob", &values.log_prob),
        ("entropy", &values.entropy),
        ("hit", &values.hit),
        ("log_sum_exp", &values.log_sum_exp),
        ("mean_log_prob", &values.mean_log_prob),
        ("log_sum_squares", &values.log_sum_squares),
        ("mean_logit", &values.mean_logit),
    ]
}

impl Rows {
    fn cases<B: CrossEntropy>(
        &self,
        stage: &Stage<'_, B>,
        record: &mut Record,
        name: &str,
        transform: LogitTransform,
        asked: &[Ask],
    ) -> Result<()> {
        let LogitTransform { factor, soft_cap } = transform;
        let name = format!("cross_entropy {name} factor {factor} cap {soft_cap:?}");
        let logits = wide(&self.logits);
        let want = reference::values(self.v, transform, &logits, &self.labels);
        for &ask in stage.cases(asked) {
            let (asked, optional) = ask;
            let name = format!("{name} {asked:?} {optional} more");
            let got = self.call(stage, transform, ask, &self.factors)?;
            let values = |first: usize, last: usize| {
                let all = named(&want).into_iter().zip(&got.values);
                let part = all.take(last).skip(first);
                part.map(|((name, want), got)| (name, got.as_slice(), want)).collect::<Vec<_>>()
            };
            record.compare_all(&name, &values(0, 2), 2e-6);
            record.compare_all(&name, &values(2, 3), 0.0);
            record.compare_all(&name, &values(3, 3 + optional), 2e-6);
            if !matches!(asked, Asked::Nothing) {
                let coefficients = self.coefficients(asked, &want);
                let want = reference::gradient(self.v, transform, &logits, &self.labels, &coefficients);
                let f32 = if let Asked::Local(LocalObjective::Dft) = asked { 1e-5 } else { 2e-6 };
                record.compare(format!("{name} gradient"), &got.gradient, &want, stage.tolerance(f32, 4e-3));
            }
        }
        Ok(())
    }

    /// A plain objective has the bits of its coefficient, and a value those it has without the others.
    fn equal_bits<B: CrossEntropy>(
        &self,
        stage: &Stage<'_, B>,
        record: &mut Record,
        name: &str,
        transform: LogitTransform,
    ) -> Result<()> {
        let local = self.call(stage, transform, (Asked::Local(LocalObjective::NLL), 0), &self.factors)?;
        let mut factors = self.factors.clone();
        factors[1] = factors[0].iter().map(|weight| -weight).collect();
        let asked = Asked::Coefficients([true, false, false, false]);
        let handed_in = self.call(stage, transform, (asked, 4), &factors)?;
        let name = format!("cross_entropy {name} {transform:?}");
        record.same(format!("{name}: local or handed in"), &handed_in.gradient, &local.gradient);
        for (value, (one, other)) in handed_in.values.iter().zip(&local.values).take(3).enumerate() {
            record.same(format!("{name}: value {value} with and without others"), one, other);
        }
        Ok(())
    }

    /// The reference's coefficients.
    fn coefficients(&self, asked: Asked, values: &reference::Values) -> Coefficients<Vec<f64>> {
        match asked {
            Asked::Nothing => Coefficients::default(),
            Asked::Local(objective) => reference::coefficients(objective, &wide(&self.factors[0]), values),
            Asked::Coefficients([log_prob, entropy, log_sum_exp, mean_log_prob]) => Coefficients {
                log_prob: log_prob.then(|| wide(&self.factors[1])),
                entropy: entropy.then(|| wide(&self.factors[2])),
                log_sum_exp: log_sum_exp.then(|| wide(&self.factors[3])),
                mean_log_prob: mean_log_prob.then(|| wide(&self.factors[4])),
            },
        }
    }

    fn call<B: CrossEntropy>(
        &self,
        stage: &Stage<'_, B>,
        transform: LogitTransform,
        (asked, optional): Ask,
        factors: &[Vec<f32>; 5],
    ) -> Result<Outcome> {
        let m = self.labels.len();
        let labels = stage.integers(&self.labels)?;
        let mut staged = Vec::new();
        for factor in factors {
            staged.push(stage.floats(factor)?);
        }
        let mut logits = stage.activations(&self.logits)?;
        let mut outputs = Vec::new();
        for _ in 0..3 + optional {
            outputs.push(stage.output(m)?);
        }
        let at = |wanted: bool, place: usize| wanted.then(|| staged[place].view());
        let gradient = match asked {
            Asked::Nothing => RowGradient::None,
            Asked::Local(objective) => RowGradient::Local { objective, weights: staged[0].view() },
            Asked::Coefficients([log_prob, entropy, log_sum_exp, mean_log_prob]) => {
                RowGradient::Coefficients(Coefficients {
                    log_prob: at(log_prob, 1),
                    entropy: at(entropy, 2),
                    log_sum_exp: at(log_sum_exp, 3),
                    mean_log_prob: at(mean_log_prob, 4),
                })
            }
        };
        let values = row_values(&mut outputs);
        stage.backend.cross_entropy(m, self.v, transform, logits.view_mut(), labels.view(), gradient, values)?;
        let values = outputs.iter().map(|output| stage.read(output)).collect::<Result<_>>()?;
        Ok(Outcome { values, gradient: stage.read(&logits)? })
    }
}

/// The first three outputs and as many of the optional ones as there are.
fn row_values<T>(outputs: &mut [Staged<T>]) -> RowValues<'_, T> {
    let mut views = outputs.iter_mut().map(Staged::view_mut);
    let mut next = || views.next();
    let needed = [(); 3].map(|()| next().expect("three outputs at least"));
    let [log_prob, entropy, hit] = needed;
    let [log_sum_exp, mean_log_prob, log_sum_squares, mean_logit] = [(); 4].map(|()| next());
    RowValues { log_prob, entropy, hit, log_sum_exp, mean_log_prob, log_sum_squares, mean_logit }
}

fn refusals<B: CrossEntropy>(stage: &Stage<'_, B>, record: &mut Record) {
    let call = |label: i32, soft_cap: Option<f32>, objective: LocalObjective| {
        let (mut logits, labels, weights) =
            (stage.activations(&[0.0; 4])?, stage.integers(&[label])?, stage.floats(&[1.0])?);
        let mut outputs = [stage.output(1)?, stage.output(1)?, stage.output(1)?];
        let (gradient, transform) =
            (RowGradient::Local { objective, weights: weights.view() }, LogitTransform { factor: 1.0, soft_cap });
        let values = row_values(&mut outputs);
        stage.backend.cross_entropy(1, 4, transform, logits.view_mut(), labels.view(), gradient, values)?;
        stage.read(&outputs[0])
    };
    for label in [4, -1] {
        let name = format!("cross_entropy of label {label} in 4");
        // On a device an out-of-range label may give NaN.
        match call(label, None, LocalObjective::NLL) {
            Ok(log_prob) => record.compare(name, &log_prob, &[f64::NAN], 0.0),
            refused => record.refused(name, &refused),
        }
    }
    for cap in [0.0, f32::NAN] {
        record.refused(format!("cross_entropy with a cap of {cap}"), &call(0, Some(cap), LocalObjective::NLL));
    }
    for (label_smoothing, z_loss) in [(-0.1, 0.0), (1.5, 0.0), (f32::NAN, 0.0), (0.0, -1.0), (0.0, f32::INFINITY)] {
        let objective = LocalObjective::Nll { label_smoothing, z_loss };
        record.refused(format!("cross_entropy of {objective:?}"), &call(0, None, objective));
    }
}
