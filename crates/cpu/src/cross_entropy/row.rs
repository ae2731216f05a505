//! One row of `cross_entropy`: three passes over its logits while they lie in the cache, four where the family changes them.

use tunesmith_ops::{Coefficients, LocalObjective, LogitTransform};

use crate::simd::{Kernel, Simd};

/// Elements whose sum is made in float32 before it is added in float64.
const BLOCK: usize = 2048;

/// What a row gives, in the order of `RowValues::named`. The last three are 0 where they are not asked for.
pub(super) type Outcome = [f32; 7];

/// What takes the place of a row's logits.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    Nothing,
    Local { objective: LocalObjective, weight: f64 },
    Coefficients(Coefficients<f64>),
}

impl Asked {
    /// The coefficients; none where no gradient is asked for.
    fn coefficients(self, log_prob: f64, log_sum_exp: f64) -> Option<Coefficients<f64>> {
        match self {
            Self::Nothing => None,
            Self::Coefficients(coefficients) => Some(coefficients),
            Self::Local { objective: LocalObjective::Nll { label_smoothing, z_loss }, weight } => {
                let (smoothing, z_loss) = (f64::from(label_smoothing), f64::from(z_loss));
                Some(Coefficients {
                    log_prob: Some(-weight * (1.0 - smoothing)),
                    entropy: None,
                    log_sum_exp: (z_loss != 0.0).then_some(2.0 * z_loss * weight * log_sum_exp),
                    mean_log_prob: (smoothing != 0.0).then_some(-weight * smoothing),
                })
            }
            Self::Local { objective: LocalObjective::Dft, weight } => {
                Some(Coefficients { log_prob: Some(-weight * log_prob.exp()), ..Coefficients::default() })
            }
        }
    }

    /// True when the gradient needs the logits themselves as well as their exponentials.
    fn needs_logits(self) -> bool {
        matches!(self, Self::Coefficients(Coefficients { entropy: Some(_), .. }))
    }
}

/// One supervised row. `MORE`: the last three values are asked for.
pub(super) struct Row<'a, const MORE: bool> {
    pub(super) transform: LogitTransform,
    pub(super) logits: &'a mut [f32],
    pub(super) label: usize,
    pub(super) asked: Asked,
}

impl<const MORE: bool> Kernel for Row<'_, MORE> {
    type Output = Outcome;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Outcome {
        let Self { transform, logits, label, asked } = self;
        transformed(s, logits, transform);
        let largest = largest(s, logits);
        let own = logits[label];
        let hit = own >= largest && !logits[..label].contains(&largest);
        // The slope of a capped logit and the gradient of the entropy need its value, so that the exponentials may not take its
        // place.
        let keep = transform.soft_cap.is_some() || asked.needs_logits();
        let sums = exponentials::<S, MORE>(s, logits, largest, !keep);
        let log_sum = sums.exp.ln();
        let log_prob = f64::from(own) - f64::from(largest) - log_sum;
        let log_sum_exp = f64::from(largest) + log_sum;
        if let Some(coefficients) = asked.coefficients(log_prob, log_sum_exp) {
            let gradient = Gradient::new(coefficients, &sums, transform, logits.len());
            let slope = transform.soft_cap.map_or(1.0, |cap| 1.0 - (own / cap) * (own / cap));
            if keep {
                gradient.replace_logits(s, logits, largest);
            } else {
                gradient.replace_exponentials(s, logits);
            }
            logits[label] += gradient.own * slope;
        }
        let entropy = log_sum - sums.weighted / sums.exp;
        let [mean_log_prob, log_sum_squares, mean_logit] = if MORE {
            let mean = sums.logits / logits.len() as f64;
            [mean - log_sum_exp, sums.squares.ln() - 2.0 * log_sum, mean]
        } else {
            [0.0; 3]
        };
        let hit = f64::from(u8::from(hit));
        [log_prob, entropy, hit, log_sum_exp, mean_log_prob, log_sum_squares, mean_logit].map(|value| value as f32)
    }
}

/// The gradient of a row with respect to what the head gave: `(every + entropy · (mean − (z − largest))) · e^(z − largest) + shift`
/// for each logit, and `own` more for the label, all of it times the slope of the cap.
struct Gradient {
    every: f32,
    /// Factor of the entropy's part, and the mean of `z − largest`.
    entropy: Option<(f32, f32)>,
    shift: Option<f32>,
    own: f32,
    cap: Option<f32>,
}

impl Gradient {
    #[inline(always)]
    fn new(of: Coefficients<f64>, sums: &Sums, transform: LogitTransform, v: usize) -> Self {
        let own = of.log_prob.unwrap_or(0.0);
        let every = of.log_sum_exp.unwrap_or(0.0) - own - of.mean_log_prob.unwrap_or(0.0);
        let scaled = |coefficient: f64| coefficient as f32 * transform.factor;
        let over_sum = |coefficient: f64| (f64::from(scaled(coefficient)) / sums.exp) as f32;
        Self {
            every: over_sum(every),
            // −p (log p + H) is p (mean − (z − largest)): the logarithm of the sum cancels.
            entropy: of.entropy.map(|entropy| (over_sum(entropy), (sums.weighted / sums.exp) as f32)),
            shift: of.mean_log_prob.map(|mean| scaled(mean / v as f64)),
            own: scaled(own),
            cap: transform.soft_cap,
        }
    }

    /// Puts the gradient in the place of the exponentials, where there is neither a cap nor a part of the entropy.
    #[inline(always)]
    fn replace_exponentials<S: Simd>(&self, s: S, e: &mut [f32]) {
        multiply(s, e, self.every);
        let Some(shift) = self.shift else { return };
        for i in (0..e.len()).step_by(S::LANES) {
            let v = s.add(s.load(&e[i..]), s.splat(shift));
            s.store(&mut e[i..], v);
        }
    }

    /// Puts the gradient in the place of the logits, whose exponentials are taken again.
    #[inline(always)]
    fn replace_logits<S: Simd>(&self, s: S, logits: &mut [f32], largest: f32) {
        for i in (0..logits.len()).step_by(S::LANES) {
            let z = s.load(&logits[i..]);
            let difference = s.sub(z, s.splat(largest));
            let e = s.exp(difference);
            let mut gradient = s.mul(e, s.splat(self.every));
            if let Some((factor, mean)) = self.entropy {
                let apart = s.sub(s.splat(mean), s.max(difference, s.splat(f32::MIN)));
                gradient = s.fma(s.mul(e, apart), s.splat(factor), gradient);
            }
            if let Some(shift) = self.shift {
                gradient = s.add(gradient, s.splat(shift));
            }
            if let Some(cap) = self.cap {
                let ratio = s.mul(z, s.splat(1.0 / cap));
                gradient = s.mul(gradient, s.sub(s.splat(1.0), s.mul(ratio, ratio)));
            }
            s.store(&mut logits[i..], gradient);
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

/// Sums over a row, with `e = exp(z − largest)`.
#[derive(Default)]
struct Sums {
    /// `Σ e`.
    exp: f64,
    /// `Σ e · (z − largest)`.
    weighted: f64,
    /// `Σ e²` and `Σ z`, where more is asked for.
    squares: f64,
    logits: f64,
}

/// Sums over a block, lane by lane.
struct Lanes<V> {
    exp: V,
    weighted: V,
    squares: V,
    logits: V,
}

/// The sums of a row, whose logits are replaced by `e` where `replace`. `MORE`: all four, else the first two.
///
/// Where `z` is −∞ (a masked token) it counts in `weighted` as the most negative number there, so that `0 · z` is 0.
#[inline(always)]
fn exponentials<S: Simd, const MORE: bool>(s: S, logits: &mut [f32], largest: f32, replace: bool) -> Sums {
    let shift = s.splat(largest);
    let mut sums = Sums::default();
    for block in logits.chunks_mut(BLOCK) {
        let zero = s.splat(0.0);
        let mut lanes = Lanes { exp: zero, weighted: zero, squares: zero, logits: zero };
        let whole = block.len() - block.len() % S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let z = s.load(&block[i..]);
            let e = lanes.add::<S, MORE>(s, s.sub(z, shift), z);
            if replace {
                s.store(&mut block[i..], e);
            }
        }
        if whole < block.len() {
            // The lanes beyond the end must not count: e is 0 there, and so is the logit.
            let mut tail = [f32::NEG_INFINITY; 16];
            tail[..block.len() - whole].copy_from_slice(&block[whole..]);
            let e = lanes.add::<S, MORE>(s, s.sub(s.load(&tail), shift), s.load(&block[whole..]));
            if replace {
                s.store(&mut block[whole..], e);
            }
        }
        sums.exp += f64::from(s.sum(lanes.exp));
        sums.weighted += f64::from(s.sum(lanes.weighted));
        if MORE {
            sums.squares += f64::from(s.sum(lanes.squares));
            sums.logits += f64::from(s.sum(lanes.logits));
        }
    }
    sums
}

impl<V: Copy> Lanes<V> {
    /// Adds a vector of logits `z` that lie `difference` from the largest, and gives their `e`.
    #[inline(always)]
    fn add<S: Simd<V = V>, const MORE: bool>(&mut self, s: S, difference: V, z: V) -> V {
        let e = s.exp(difference);
        self.exp = s.add(self.exp, e);
        self.weighted = s.fma(e, s.max(difference, s.splat(f32::MIN)), self.weighted);
        if MORE {
            self.squares = s.fma(e, e, self.squares);
            self.logits = s.add(self.logits, z);
        }
        e
    }
}
