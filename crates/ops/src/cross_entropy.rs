//! `cross_entropy`: what rows of logits say of their labels, and a gradient in place of the logits.

use crate::check::Call;
use crate::error::{Error, Result};
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

pub mod reference;

/// The label that takes a row out of the loss (PyTorch's `ignore_index`).
pub const IGNORE_INDEX: i32 = -100;

/// What a family does to the logits of its head before the softmax: `z = cap · tanh(factor · x / cap)`, without a cap
/// `z = factor · x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitTransform {
    /// Multiplied first (Granite: the reciprocal of `logits_scaling`).
    pub factor: f32,
    /// `cap`, above 0 (Gemma 2's `final_logit_softcapping`, arXiv:2408.00118).
    pub soft_cap: Option<f32>,
}

impl Default for LogitTransform {
    /// Leaves the logits as they are.
    fn default() -> Self {
        Self { factor: 1.0, soft_cap: None }
    }
}

impl LogitTransform {
    /// Checks the cap.
    ///
    /// # Errors
    /// `ArgumentInvalid` when it is not above 0.
    pub fn check(&self, op: &str) -> Result<()> {
        match self.soft_cap {
            Some(cap) if cap.is_nan() || cap <= 0.0 => Err(Error::argument(op, "a soft cap above 0", cap)),
            _ => Ok(()),
        }
    }

    /// The same with its logits divided by `temperature`: `c·tanh(f·x/c)/T` is `c'·tanh(f'·x/c')` with `c' = c/T` and `f' = f/T`. A
    /// temperature of 1 changes no bit.
    #[must_use]
    pub fn at(self, temperature: f32) -> Self {
        Self { factor: self.factor / temperature, soft_cap: self.soft_cap.map(|cap| cap / temperature) }
    }

    /// The logit `z` of the head's output `x`.
    pub fn apply(&self, x: f32) -> f32 {
        let scaled = x * self.factor;
        self.soft_cap.map_or(scaled, |cap| cap * (scaled / cap).tanh())
    }
}

/// Where the values of the rows go: `[m]` float32 each, written. What is absent is not computed.
#[derive(Debug)]
pub struct RowValues<'a, T> {
    /// Log-probability of the label, `z[label] − log Σ exp z`.
    pub log_prob: ViewMut<'a, T>,
    /// Entropy of the distribution, `−Σ p log p` in nats.
    pub entropy: ViewMut<'a, T>,
    /// 1 where the label is the largest logit (the lowest index wins a tie), else 0.
    pub hit: ViewMut<'a, T>,
    /// `log Σ exp z`.
    pub log_sum_exp: Option<ViewMut<'a, T>>,
    /// Mean of `log p` over the vocabulary.
    pub mean_log_prob: Option<ViewMut<'a, T>>,
    /// `log Σ p²`.
    pub log_sum_squares: Option<ViewMut<'a, T>>,
    /// Mean of `z` over the vocabulary.
    pub mean_logit: Option<ViewMut<'a, T>>,
}

impl<'a, T> RowValues<'a, T> {
    /// The first three alone.
    pub fn new(log_prob: ViewMut<'a, T>, entropy: ViewMut<'a, T>, hit: ViewMut<'a, T>) -> Self {
        let (log_sum_exp, mean_log_prob, log_sum_squares, mean_logit) = (None, None, None, None);
        Self { log_prob, entropy, hit, log_sum_exp, mean_log_prob, log_sum_squares, mean_logit }
    }

    /// All of them, in the order of their declaration.
    pub fn all(self) -> [Option<ViewMut<'a, T>>; 7] {
        [
            Some(self.log_prob),
            Some(self.entropy),
            Some(self.hit),
            self.log_sum_exp,
            self.mean_log_prob,
            self.log_sum_squares,
            self.mean_logit,
        ]
    }

    /// True when a value is asked for that the loss and its gradient do not need.
    pub fn asks_for_more(&self) -> bool {
        self.mean_log_prob.is_some() || self.log_sum_squares.is_some() || self.mean_logit.is_some()
    }
}

/// What each value of a row counts in the number whose gradient is taken: `∂ loss / ∂ value`. Absent is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients<V> {
    /// Of the label's log-probability; its derivative with respect to `z[j]` is `[j = label] − p[j]`.
    pub log_prob: Option<V>,
    /// Of the entropy `H`: `−p[j] · (log p[j] + H)`.
    pub entropy: Option<V>,
    /// Of `log Σ exp z`: `p[j]`.
    pub log_sum_exp: Option<V>,
    /// Of the mean log-probability: `1 / v − p[j]`.
    pub mean_log_prob: Option<V>,
}

impl<V> Default for Coefficients<V> {
    /// All absent.
    fn default() -> Self {
        Self { log_prob: None, entropy: None, log_sum_exp: None, mean_log_prob: None }
    }
}

impl<V> Coefficients<V> {
    /// Another form of the coefficients that are there.
    pub fn map<W>(self, change: impl Fn(V) -> W) -> Coefficients<W> {
        Coefficients {
            log_prob: self.log_prob.map(&change),
            entropy: self.entropy.map(&change),
            log_sum_exp: self.log_sum_exp.map(&change),
            mean_log_prob: self.mean_log_prob.map(&change),
        }
    }
}

/// A loss whose coefficients follow from the values of the row itself, so that they need not be handed in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LocalObjective {
    /// `(1 − ε) · nll − ε · mean log p + ζ · (log Σ exp z)²`, with `nll = −log p(label)`.
    Nll {
        /// `ε`, 0 to 1 (Szegedy et al. 2015, arXiv:1512.00567; torch's `label_smoothing`).
        label_smoothing: f32,
        /// `ζ`, at least 0 (Chowdhery et al. 2022, arXiv:2204.02311).
        z_loss: f32,
    },
    /// `p(label) · nll` with `p(label)` taken as a constant (dynamic fine-tuning, Wu et al. 2025, arXiv:2508.05629).
    Dft,
}

impl LocalObjective {
    /// Negative log-likelihood and nothing else.
    pub const NLL: Self = Self::Nll { label_smoothing: 0.0, z_loss: 0.0 };

    /// Checks the parameters.
    ///
    /// # Errors
    /// `ArgumentInvalid` when one lies outside its range.
    pub fn check(&self, op: &str) -> Result<()> {
        match *self {
            Self::Nll { label_smoothing, .. } if !(0.0..=1.0).contains(&label_smoothing) => {
                Err(Error::argument(op, "label smoothing from 0 to 1", label_smoothing))
            }
            Self::Nll { z_loss, .. } if !(0.0..f32::INFINITY).contains(&z_loss) => {
                Err(Error::argument(op, "a finite factor of the z-loss, at least 0", z_loss))
            }
            _ => Ok(()),
        }
    }
}

/// What takes the place of the logits.
#[derive(Debug)]
pub enum RowGradient<'a, T> {
    /// Nothing: the logits are left undefined.
    None,
    /// The gradient of `Σ weights[i] · objective(i)`.
    Local {
        /// What is minimised.
        objective: LocalObjective,
        /// `[m]` float32.
        weights: View<'a, T>,
    },
    /// The gradient of `Σ coefficient · value` over rows and values, `[m]` float32 each.
    Coefficients(Coefficients<View<'a, T>>),
}

impl<T: TypedBuffer> RowGradient<'_, T> {
    /// Checks objective and views for `m` rows.
    fn check(&self, call: Call, m: usize) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Local { objective, weights } => {
                objective.check(call.op)?;
                call.float32("weights", *weights, m)
            }
            Self::Coefficients(c) => {
                call.float32_if_given("coefficients of log_prob", c.log_prob, m)?;
                call.float32_if_given("coefficients of entropy", c.entropy, m)?;
                call.float32_if_given("coefficients of log_sum_exp", c.log_sum_exp, m)?;
                call.float32_if_given("coefficients of mean_log_prob", c.mean_log_prob, m)
            }
        }
    }
}

impl<T: TypedBuffer> RowValues<'_, T> {
    /// Checks the views for `m` rows.
    fn check(&self, call: Call, m: usize) -> Result<()> {
        for (name, view) in [("log_prob", &self.log_prob), ("entropy", &self.entropy), ("hit", &self.hit)] {
            call.float32(name, view.as_view(), m)?;
        }
        let more = [
            ("log_sum_exp", &self.log_sum_exp),
            ("mean_log_prob", &self.mean_log_prob),
            ("log_sum_squares", &self.log_sum_squares),
            ("mean_logit", &self.mean_logit),
        ];
        more.into_iter()
            .try_for_each(|(name, view)| call.float32_if_given(name, view.as_ref().map(ViewMut::as_view), m))
    }
}

/// Checks the arguments of [`CrossEntropy::cross_entropy`], but for what the labels say.
///
/// # Errors
/// `ArgumentInvalid` naming the argument that does not fit.
pub fn check<T: TypedBuffer>(
    call: Call,
    (m, v): (usize, usize),
    transform: LogitTransform,
    logits: View<'_, T>,
    labels: View<'_, T>,
    gradient: &RowGradient<'_, T>,
    values: &RowValues<'_, T>,
) -> Result<()> {
    if v == 0 {
        return Err(Error::argument(call.op, "at least one logit a row", v));
    }
    transform.check(call.op)?;
    call.activations("logits", logits, m * v)?;
    call.int32("labels", labels, m)?;
    gradient.check(call, m)?;
    values.check(call, m)
}

/// Next-token cross-entropy. The caller has already shifted: row `i` of the logits predicts `labels[i]`.
///
/// Letters: `m` rows, `v` vocabulary, `x` what the head gives, `z` the logits the transform makes of it, `p = softmax(z)`.
/// A row labelled [`IGNORE_INDEX`] has 0 for every value and a gradient of exactly 0.
/// A plain [`LocalObjective::NLL`] gives the bits of the coefficient `−weights[i]` of the log-probability, and no value
/// changes its bits with what else is asked for.
/// Tolerance f32: 2e-6 relative to the largest output, 1e-5 for the gradient of dft, whose factor `p(label)` carries the rounding
/// of `z`; bf16: the same, and 4e-3 for the gradient. Edge sizes: v in 1, 15, 16, 17, 512, 49152; logits at ±1e4; NaN; masked
/// logits (−∞); each of them with a factor, with a cap, and with both.
pub trait CrossEntropy: Memory {
    /// Writes the values of `labels[m]`. `logits[m, v]` holds `x`, in whose place comes the gradient with respect to `x`: that
    /// with respect to `z` times `dz/dx = factor · (1 − (z / cap)²)`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a label is neither in `0 .. v` nor [`IGNORE_INDEX`] (a device that cannot look at labels without
    /// waiting gives such a row NaN instead), a cap is not above 0, a parameter of the objective lies outside its range, or
    /// a view does not fit.
    fn cross_entropy(
        &self,
        m: usize,
        v: usize,
        transform: LogitTransform,
        logits: ViewMut<'_, Self::Buffer>,
        labels: View<'_, Self::Buffer>,
        gradient: RowGradient<'_, Self::Buffer>,
        values: RowValues<'_, Self::Buffer>,
    ) -> Result<()>;
}
