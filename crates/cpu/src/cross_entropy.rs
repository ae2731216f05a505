//! `cross_entropy`: three passes over a row of logits while it lies in the cache, four where the family changes them.

use tunesmith_ops::{CrossEntropy, Error, IGNORE_INDEX, LogitTransform, Result, View, ViewMut};

use crate::memory::Buffer;
use crate::simd::{Kernel, Simd};
use crate::{Cpu, check};

/// Elements whose sum is made in binary32 before it is added in binary64.
const BLOCK: usize = 2048;

/// What a row gives.
struct Outcome {
    nll: f32,
    entropy: f32,
    correct: f32,
}

/// One supervised row; replaces the logits by their gradient where a weight is given.
struct Row<'a> {
    transform: LogitTransform,
    logits: &'a mut [f32],
    label: usize,
    weight: Option<f32>,
}

impl Kernel for Row<'_> {
    type Output = Outcome;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Outcome {
        let Self { transform, logits, label, weight } = self;
        transformed(s, logits, transform);
        let largest = largest(s, logits);
        let own = logits[label];
        let correct = own >= largest && !logits[..label].contains(&largest);
        // The slope of a capped logit needs its value, so the exponentials may not take its place.
        let (sum, weighted) = exponentials(s, logits, largest, transform.soft_cap.is_none());
        let log_sum = sum.ln();
        if let Some(weight) = weight {
            let weight = weight * transform.factor;
            let factor = (f64::from(weight) / sum) as f32;
            logits[label] = match transform.soft_cap {
                None => {
                    multiply(s, logits, factor);
                    logits[label] - weight
                }
                Some(cap) => {
                    capped_gradient(s, logits, largest, factor, cap);
                    let ratio = own / cap;
                    logits[label] - weight * (1.0 - ratio * ratio)
                }
            };
        }
        Outcome {
            nll: (log_sum - (f64::from(own) - f64::from(largest))) as f32,
            entropy: (log_sum - weighted / sum) as f32,
            correct: f32::from(u8::from(correct)),
        }
    }
}

#[inline(always)]
fn multiply<S: Simd>(s: S, x: &mut [f32], factor: f32) {
    for i in (0..x.len()).step_by(S::LANES) {
        let v = s.mul(s.load(&x[i..]), s.splat(factor));
        s.store(&mut x[i..], v);
    }
}

/// Replaces capped logits by `factor · exp(z − largest) · (1 − (z / cap)²)`.
#[inline(always)]
fn capped_gradient<S: Simd>(s: S, logits: &mut [f32], largest: f32, factor: f32, cap: f32) {
    for i in (0..logits.len()).step_by(S::LANES) {
        let z = s.load(&logits[i..]);
        let ratio = s.mul(z, s.splat(1.0 / cap));
        let slope = s.sub(s.splat(1.0), s.mul(ratio, ratio));
        let e = s.exp(s.sub(z, s.splat(largest)));
        s.store(&mut logits[i..], s.mul(s.mul(e, s.splat(factor)), slope));
    }
}

/// Replaces what the head gave by the logits the softmax is taken of.
#[inline(always)]
fn transformed<S: Simd>(s: S, logits: &mut [f32], transform: LogitTransform) {
    let LogitTransform { factor, soft_cap } = transform;
    if transform == LogitTransform::default() {
        return;
    }
    multiply(s, logits, soft_cap.map_or(factor, |cap| factor / cap));
    let Some(cap) = soft_cap else { return };
    for i in (0..logits.len()).step_by(S::LANES) {
        let v = s.tanh(s.load(&logits[i..]));
        s.store(&mut logits[i..], s.mul(v, s.splat(cap)));
    }
}

/// The largest logit; NaN logits are skipped.
#[inline(always)]
fn largest<S: Simd>(s: S, logits: &[f32]) -> f32 {
    let lowest = s.splat(f32::NEG_INFINITY);
    let mut best = [lowest; 4];
    let mut groups = logits.chunks_exact(4 * S::LANES);
    for group in &mut groups {
        for (v, best) in best.iter_mut().enumerate() {
            *best = s.max(s.load(&group[v * S::LANES..]), *best);
        }
    }
    let vector = s.max(s.max(best[0], best[1]), s.max(best[2], best[3]));
    groups.remainder().iter().fold(s.largest(vector), |a, &b| a.max(b))
}

/// Gives `Σ e` and `Σ e · (z − largest)` with `e = exp(z − largest)`, by which it replaces the logits where `replace`.
///
/// Where `z` is −∞ (a masked token) it counts as the most negative number there, so that `0 · z` is 0.
#[inline(always)]
fn exponentials<S: Simd>(s: S, logits: &mut [f32], largest: f32, replace: bool) -> (f64, f64) {
    let shift = s.splat(largest);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for block in logits.chunks_mut(BLOCK) {
        let (mut e_sum, mut z_sum) = (s.splat(0.0), s.splat(0.0));
        let whole = block.len() - block.len() % S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let z = s.sub(s.load(&block[i..]), shift);
            let e = s.exp(z);
            e_sum = s.add(e_sum, e);
            z_sum = s.fma(e, s.max(z, s.splat(f32::MIN)), z_sum);
            if replace {
                s.store(&mut block[i..], e);
            }
        }
        if whole < block.len() {
            // The lanes beyond the end must not count.
            let mut tail = [f32::NEG_INFINITY; 16];
            tail[..block.len() - whole].copy_from_slice(&block[whole..]);
            let z = s.sub(s.load(&tail), shift);
            let e = s.exp(z);
            e_sum = s.add(e_sum, e);
            z_sum = s.fma(e, s.max(z, s.splat(f32::MIN)), z_sum);
            if replace {
                s.store(&mut block[whole..], e);
            }
        }
        sum += f64::from(s.sum(e_sum));
        weighted += f64::from(s.sum(z_sum));
    }
    (sum, weighted)
}

impl CrossEntropy for Cpu {
    fn cross_entropy(
        &self,
        m: usize,
        v: usize,
        transform: LogitTransform,
        logits: ViewMut<'_, Buffer>,
        labels: View<'_, Buffer>,
        weights: Option<View<'_, Buffer>>,
        nll: ViewMut<'_, Buffer>,
        entropy: ViewMut<'_, Buffer>,
        correct: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let op = "cross_entropy";
        if v == 0 {
            return Err(Error::argument(op, "at least one logit a row", v));
        }
        transform.check(op)?;
        let logits = check::floats_mut(op, "logits", logits, m * v)?;
        let labels = check::integers(op, "labels", labels, m)?;
        let weights = weights.map(|w| check::floats(op, "weights", w, m)).transpose()?;
        let nll = check::floats_mut(op, "nll", nll, m)?;
        let entropy = check::floats_mut(op, "entropy", entropy, m)?;
        let correct = check::floats_mut(op, "correct", correct, m)?;
        let known = |label: i32| label == IGNORE_INDEX || usize::try_from(label).is_ok_and(|l| l < v);
        if let Some(label) = labels.iter().find(|&&label| !known(label)) {
            return Err(Error::argument(op, format!("labels in 0 .. {v} or {IGNORE_INDEX}"), label));
        }
        let sums = nll.iter_mut().zip(entropy).zip(correct);
        self.pool.each(logits.chunks_exact_mut(v).zip(sums), |i, (logits, ((nll, entropy), correct))| {
            let weight = weights.map(|w| w[i]);
            let Ok(label) = usize::try_from(labels[i]) else {
                (*nll, *entropy, *correct) = (0.0, 0.0, 0.0);
                if weight.is_some() {
                    logits.fill(0.0);
                }
                return;
            };
            let outcome = self.isa.run(Row { transform, logits, label, weight });
            (*nll, *entropy, *correct) = (outcome.nll, outcome.entropy, outcome.correct);
        })
    }
}
