//! `cross_entropy`: loss of rows of logits, and their gradient in place.

use crate::error::Result;
use crate::memory::{Memory, View, ViewMut};

/// The label that takes a row out of the loss (PyTorch's `ignore_index`).
pub const IGNORE_INDEX: i32 = -100;

/// Next-token cross-entropy. The caller has already shifted: row `i` of the logits predicts `labels[i]`.
///
/// Letters: `m` rows, `v` vocabulary. Per row: `nll = logsumexp(z) − z[label]`, `entropy = logsumexp(z) − Σ p z` in nats,
/// `correct` = 1 where the label is the largest logit (the lowest index wins a tie), else 0. A row labelled
/// [`IGNORE_INDEX`] gives nll, entropy and correct 0 and a gradient of exactly 0.
/// Tolerance f32: 2e-6 relative to the largest output. Edge sizes: v in 1, 15, 16, 17, 512, 49152; logits at ±1e4; NaN.
pub trait CrossEntropy: Memory {
    /// Writes `nll[m]`, `entropy[m]`, `correct[m]` (all f32). Where `weights[m]` is given, replaces `logits[m, v]` by the
    /// gradient `weights[i] · (softmax(z) − onehot(label))`; without weights leaves the logits undefined.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a label is neither in `0 .. v` nor [`IGNORE_INDEX`], or a window does not fit.
    fn cross_entropy(
        &self,
        m: usize,
        v: usize,
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
    use super::IGNORE_INDEX;

    /// What all rows give.
    #[derive(Debug, Clone, Default)]
    pub struct Rows {
        /// Negative log-likelihood of the label.
        pub nll: Vec<f64>,
        /// Entropy of the distribution.
        pub entropy: Vec<f64>,
        /// 1 where the label is the largest logit.
        pub correct: Vec<f64>,
        /// `softmax − onehot`, times the weight of the row.
        pub gradient: Vec<f64>,
    }

    /// One row after another; `weights` default to 1.
    pub fn cross_entropy(v: usize, logits: &[f64], labels: &[i32], weights: Option<&[f64]>) -> Rows {
        let mut rows = Rows::default();
        for (i, (z, &label)) in logits.chunks(v).zip(labels).enumerate() {
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
            let mean: f64 = p.iter().zip(z).map(|(p, z)| p * z).sum();
            let first = z.iter().position(|&x| x.total_cmp(&largest).is_eq());
            rows.nll.push(log_sum - z[label]);
            rows.entropy.push(log_sum - mean);
            rows.correct.push(f64::from(u8::from(first == Some(label))));
            let onehot = |j: usize| f64::from(u8::from(j == label));
            rows.gradient.extend(p.iter().enumerate().map(|(j, p)| weight * (p - onehot(j))));
        }
        rows
    }
}
