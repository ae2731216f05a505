//! `AdEMAMix`: a fast and a slow average of each trained tensor, and a second moment.

use serde::Deserialize;
use tunesmith_ops::ElementwiseRule;

use super::slot::Slot;

/// Constants of `AdEMAMix` (Pagliardini et al. 2024, arXiv:2409.03137).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdEmaMixOptions {
    /// What is kept of the fast average.
    pub beta1: f64,
    /// What is kept of the second moment.
    pub beta2: f64,
    /// What is kept of the slow average.
    pub beta3: f64,
    /// Weight of the slow average.
    pub alpha: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Steps in which `alpha` rises from 0; none: it is whole at once.
    pub t_alpha: Option<u64>,
    /// Steps in which `beta3` rises from `beta1`; none: it is whole at once.
    pub t_beta3: Option<u64>,
}

impl AdEmaMixOptions {
    /// Both averages and the second moment.
    pub(super) const SLOTS: [Slot; 3] =
        [Slot::float32("exp_avg"), Slot::float32("exp_avg_slow"), Slot::float32("exp_avg_sq")];

    /// The rule of a step, its weights as far as they have risen (bitsandbytes).
    pub(super) fn rule(&self, step: u64) -> ElementwiseRule {
        let Self { beta1, beta2, beta3, alpha, epsilon, .. } = *self;
        let t = step as f64;
        let (one, three) = (beta1.ln(), beta3.ln());
        let risen = |last: u64| {
            let share = t / last as f64;
            (one * three / ((1.0 - share) * three + share * one)).exp().min(beta3)
        };
        ElementwiseRule::AdEmaMix {
            beta1,
            beta2,
            beta3: self.t_beta3.map_or(beta3, risen),
            alpha: self.t_alpha.map_or(alpha, |last| (t * alpha / last as f64).min(alpha)),
            epsilon,
        }
    }
}
