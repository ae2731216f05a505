//! `cross_entropy` in float64, written for reading.

use super::{Coefficients, IGNORE_INDEX, LocalObjective, LogitTransform};

/// What all rows give.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Log-probability of the label.
    pub log_prob: Vec<f64>,
    /// Entropy of the distribution.
    pub entropy: Vec<f64>,
    /// 1 where the label is the largest logit.
    pub hit: Vec<f64>,
    /// `log Σ exp z`.
    pub log_sum_exp: Vec<f64>,
    /// Mean of `log p`.
    pub mean_log_prob: Vec<f64>,
    /// `log Σ p²`.
    pub log_sum_squares: Vec<f64>,
    /// Mean of `z`.
    pub mean_logit: Vec<f64>,
}

/// The distribution of a row.
struct Distribution {
    z: Vec<f64>,
    log_sum_exp: f64,
    log_p: Vec<f64>,
    entropy: f64,
}

impl Distribution {
    fn of(x: &[f64], transform: LogitTransform) -> Self {
        let factor = f64::from(transform.factor);
        let cap = transform.soft_cap.map(f64::from);
        let z: Vec<f64> = x.iter().map(|x| cap.map_or(factor * x, |cap| cap * (factor * x / cap).tanh())).collect();
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum_exp = largest + z.iter().map(|z| (z - largest).exp()).sum::<f64>().ln();
        let log_p: Vec<f64> = z.iter().map(|z| z - log_sum_exp).collect();
        let entropy = -log_p.iter().map(|&log_p| times_log(log_p.exp(), log_p)).sum::<f64>();
        Self { z, log_sum_exp, log_p, entropy }
    }
}

/// `p · log p`, 0 for the probability 0.
fn times_log(p: f64, log_p: f64) -> f64 {
    if p == 0.0 { 0.0 } else { p * log_p }
}

/// The values, one row after another.
pub fn values(v: usize, transform: LogitTransform, logits: &[f64], labels: &[i32]) -> Values {
    let mut values = Values::default();
    for (x, &label) in logits.chunks(v).zip(labels) {
        let mut push = |row: [f64; 7]| {
            values.log_prob.push(row[0]);
            values.entropy.push(row[1]);
            values.hit.push(row[2]);
            values.log_sum_exp.push(row[3]);
            values.mean_log_prob.push(row[4]);
            values.log_sum_squares.push(row[5]);
            values.mean_logit.push(row[6]);
        };
        if label == IGNORE_INDEX {
            push([0.0; 7]);
            continue;
        }
        let Distribution { z, log_sum_exp, log_p, entropy } = Distribution::of(x, transform);
        let label = label as usize;
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let first = z.iter().position(|&z| z.total_cmp(&largest).is_eq());
        push([
            log_p[label],
            entropy,
            f64::from(u8::from(first == Some(label))),
            log_sum_exp,
            log_p.iter().sum::<f64>() / v as f64,
            log_p.iter().map(|log_p| (2.0 * log_p).exp()).sum::<f64>().ln(),
            z.iter().sum::<f64>() / v as f64,
        ]);
    }
    values
}

/// The gradient of `Σ coefficient · value` with respect to the logits before the transform; coefficients `[m]`.
pub fn gradient(
    v: usize,
    transform: LogitTransform,
    logits: &[f64],
    labels: &[i32],
    coefficients: &Coefficients<Vec<f64>>,
) -> Vec<f64> {
    let (factor, cap) = (f64::from(transform.factor), transform.soft_cap.map(f64::from));
    let slope = |z: f64| cap.map_or(factor, |cap| factor * (1.0 - (z / cap).powi(2)));
    let mut gradient = Vec::with_capacity(logits.len());
    for (i, (x, &label)) in logits.chunks(v).zip(labels).enumerate() {
        if label == IGNORE_INDEX {
            gradient.extend(vec![0.0; v]);
            continue;
        }
        let Distribution { z, log_p, entropy, .. } = Distribution::of(x, transform);
        let times = |coefficient: &Option<Vec<f64>>, derivative: f64| {
            coefficient.as_ref().map_or(0.0, |coefficient| coefficient[i] * derivative)
        };
        gradient.extend((0..v).map(|j| {
            let (p, own) = (log_p[j].exp(), f64::from(u8::from(j == label as usize)));
            let by_log_prob = times(&coefficients.log_prob, own - p);
            let by_entropy = times(&coefficients.entropy, -times_log(p, log_p[j]) - p * entropy);
            let by_log_sum_exp = times(&coefficients.log_sum_exp, p);
            let by_mean_log_prob = times(&coefficients.mean_log_prob, 1.0 / v as f64 - p);
            slope(z[j]) * (by_log_prob + by_entropy + by_log_sum_exp + by_mean_log_prob)
        }));
    }
    gradient
}

/// The coefficients of `Σ weight · objective`.
pub fn coefficients(objective: LocalObjective, weights: &[f64], values: &Values) -> Coefficients<Vec<f64>> {
    let each = |coefficient: &dyn Fn(usize) -> f64| Some((0..weights.len()).map(coefficient).collect());
    match objective {
        LocalObjective::Nll { label_smoothing, z_loss } => {
            let (smoothing, z_loss) = (f64::from(label_smoothing), f64::from(z_loss));
            Coefficients {
                log_prob: each(&|i| -weights[i] * (1.0 - smoothing)),
                mean_log_prob: each(&|i| -weights[i] * smoothing).filter(|_| smoothing != 0.0),
                log_sum_exp: each(&|i| 2.0 * z_loss * weights[i] * values.log_sum_exp[i]).filter(|_| z_loss != 0.0),
                entropy: None,
            }
        }
        LocalObjective::Dft => {
            Coefficients { log_prob: each(&|i| -weights[i] * values.log_prob[i].exp()), ..Coefficients::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: usize = 5;
    const LABELS: [i32; 3] = [3, IGNORE_INDEX, 0];
    const TRANSFORMS: [LogitTransform; 3] = [
        LogitTransform { factor: 1.0, soft_cap: None },
        LogitTransform { factor: -0.5, soft_cap: None },
        LogitTransform { factor: 0.75, soft_cap: Some(2.5) },
    ];

    fn logits() -> Vec<f64> {
        (0..V * LABELS.len()).map(|i| 2.0 * (1.7 * i as f64).sin()).collect()
    }

    /// Central differences of `loss` with respect to each logit.
    fn differences(loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let step = 1e-5;
        let moved = |i: usize, by: f64| {
            let mut x = logits();
            x[i] += by;
            loss(&x)
        };
        (0..logits().len()).map(|i| (moved(i, step) - moved(i, -step)) / (2.0 * step)).collect()
    }

    fn assert_close(got: &[f64], want: &[f64], name: &str) {
        let worst = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max);
        assert!(got.len() == want.len() && worst < 1e-9, "{name}: {worst:e}");
        assert!(want.iter().any(|want| want.abs() > 1e-3), "{name}: a gradient of nothing");
    }

    /// A coefficient that stands alone, and the value it is of.
    type Alone = (&'static str, Coefficients<Vec<f64>>, fn(&Values) -> &[f64]);

    #[test]
    fn gradients_of_the_values_are_their_differences() {
        let c = vec![0.7, 5.0, -1.3];
        let alone: [Alone; 4] = [
            ("log_prob", Coefficients { log_prob: Some(c.clone()), ..Coefficients::default() }, |v| &v.log_prob),
            ("entropy", Coefficients { entropy: Some(c.clone()), ..Coefficients::default() }, |v| &v.entropy),
            ("lse", Coefficients { log_sum_exp: Some(c.clone()), ..Coefficients::default() }, |v| &v.log_sum_exp),
            ("mean", Coefficients { mean_log_prob: Some(c.clone()), ..Coefficients::default() }, |v| &v.mean_log_prob),
        ];
        for transform in TRANSFORMS {
            for (name, coefficients, value) in &alone {
                let got = gradient(V, transform, &logits(), &LABELS, coefficients);
                let want = differences(|x| {
                    let values = values(V, transform, x, &LABELS);
                    c.iter().zip(value(&values)).map(|(c, value)| c * value).sum()
                });
                assert_close(&got, &want, &format!("{name} {transform:?}"));
            }
        }
    }

    #[test]
    fn gradients_of_local_objectives_are_their_differences() {
        let weights = [0.7, 5.0, 1.3];
        let (smoothing, z_loss) = (0.25, 0.125);
        let smoothed = LocalObjective::Nll { label_smoothing: smoothing, z_loss };
        for transform in TRANSFORMS {
            let at = values(V, transform, &logits(), &LABELS);
            for objective in [LocalObjective::NLL, smoothed, LocalObjective::Dft] {
                let coefficients = coefficients(objective, &weights, &at);
                let got = gradient(V, transform, &logits(), &LABELS, &coefficients);
                let row = |i: usize, row: &Values| match objective {
                    LocalObjective::Nll { label_smoothing, z_loss } => {
                        let smoothing = f64::from(label_smoothing);
                        let smoothed = -(1.0 - smoothing) * row.log_prob[i] - smoothing * row.mean_log_prob[i];
                        smoothed + f64::from(z_loss) * row.log_sum_exp[i].powi(2)
                    }
                    LocalObjective::Dft => -at.log_prob[i].exp() * row.log_prob[i],
                };
                let want = differences(|x| {
                    let now = values(V, transform, x, &LABELS);
                    (0..LABELS.len()).map(|i| weights[i] * row(i, &now)).sum()
                });
                assert_close(&got, &want, &format!("{objective:?} {transform:?}"));
            }
        }
    }
}
