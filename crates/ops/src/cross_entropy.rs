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
