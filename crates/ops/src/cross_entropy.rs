//! `cross_entropy`: loss of rows of logits, and their gradient in place.

use crate::error::{Error, Result};
use crate::memory::{Memory, View, ViewMut};

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

    /// The logit `z` of the head's output `x`.
    pub fn apply(&self, x: f32) -> f32 {
        let scaled = x * self.factor;
        self.soft_cap.map_or(scaled, |cap| cap * (scaled / cap).tanh())
    }
}

/// Next-token cross-entropy. The caller has already shifted: row `i` of the logits predicts `labels[i]`.
///
/// Letters: `m` rows, `v` vocabulary, `x` what the head gives, `z` the logits the transform makes of it. Per row: `nll = logsumexp(z) − z[label]`, `entropy = logsumexp(z) − Σ p z` in nats,
/// `correct` = 1 where the label is the largest logit (the lowest index wins a tie), else 0. A row labelled
/// [`IGNORE_INDEX`] gives nll, entropy and correct 0 and a gradient of exactly 0.
/// Tolerance f32: 2e-6 relative to the largest output; bf16: the same, and 4e-3 for the gradient. Edge sizes: v in 1, 15, 16, 17, 512, 49152; logits at ±1e4; NaN;
/// each of them with a factor, with a cap, and with both.
pub trait CrossEntropy: Memory {
    /// Writes `nll[m]`, `entropy[m]`, `correct[m]` (all f32). `logits[m, v]` holds `x`; where `weights[m]` is given, it is
    /// replaced by the gradient with respect to `x`, `weights[i] · (softmax(z) − onehot(label)) · dz/dx` with
    /// `dz/dx = factor · (1 − (z / cap)²)`; without weights the logits are left undefined.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a label is neither in `0 .. v` nor [`IGNORE_INDEX`] (a device that cannot look at labels without
    /// waiting gives such a row a nll of NaN instead), a cap is not above 0, or a window does
    /// not fit.
    fn cross_entropy(
        &self,
        m: usize,
        v: usize,
        transform: LogitTransform,
        logits: ViewMut<'_, Self::Buffer>,
        labels: View<'_, Self::Buffer>,
        weights: Option<View<'_, Self::Buffer>>,
        nll: ViewMut<'_, Self::Buffer>,
        entropy: ViewMut<'_, Self::Buffer>,
        correct: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}

/// The same in binary64, written for reading.
pub mod reference {
    use super::{IGNORE_INDEX, LogitTransform};

    /// What all rows give.
    #[derive(Debug, Clone, Default)]
    pub struct Rows {
        /// Negative log-likelihood of the label.
        pub nll: Vec<f64>,
        /// Entropy of the distribution.
        pub entropy: Vec<f64>,
        /// 1 where the label is the largest logit.
        pub correct: Vec<f64>,
        /// `softmax − onehot`, times the weight of the row and the slope of the transform.
        pub gradient: Vec<f64>,
    }

    /// One row after another; `weights` default to 1.
    pub fn cross_entropy(
        v: usize,
        transform: LogitTransform,
        logits: &[f64],
        labels: &[i32],
        weights: Option<&[f64]>,
    ) -> Rows {
        let factor = f64::from(transform.factor);
        let cap = transform.soft_cap.map(f64::from);
        let transformed = |x: f64| cap.map_or(factor * x, |cap| cap * (factor * x / cap).tanh());
        let slope = |z: f64| cap.map_or(factor, |cap| factor * (1.0 - (z / cap).powi(2)));
        let mut rows = Rows::default();
        for (i, (x, &label)) in logits.chunks(v).zip(labels).enumerate() {
            let z: Vec<f64> = x.iter().map(|&x| transformed(x)).collect();
            if label == IGNORE_INDEX {
                rows.nll.push(0.0);
                rows.entropy.push(0.0);
                rows.correct.push(0.0);
                rows.gradient.extend(vec![0.0; v]);
                continue;
            }
            let label = label as usize;
            let weight = weights.map_or(1.0, |w| w[i]);
            let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = largest + z.iter().map(|x| (x - largest).exp()).sum::<f64>().ln();
            let p: Vec<_> = z.iter().map(|x| (x - log_sum).exp()).collect();
            let mean: f64 = p.iter().zip(&z).map(|(p, z)| p * z).sum();
            let first = z.iter().position(|&x| x.total_cmp(&largest).is_eq());
            rows.nll.push(log_sum - z[label]);
            rows.entropy.push(log_sum - mean);
            rows.correct.push(f64::from(u8::from(first == Some(label))));
            let onehot = |j: usize| f64::from(u8::from(j == label));
            rows.gradient.extend((0..v).map(|j| weight * (p[j] - onehot(j)) * slope(z[j])));
        }
        rows
    }
}
