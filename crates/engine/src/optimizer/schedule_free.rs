//! Schedule-free AdamW: a point that is stepped and a second moment of each trained tensor; the parameter lies between that point and
//! the mean of all of them, which is what evaluates and is saved.

use serde::Deserialize;
use tunesmith_ops::ElementwiseRule;

use super::slot::Slot;

/// Constants of schedule-free AdamW (Defazio et al. 2024, arXiv:2405.15682).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleFreeOptions {
    /// How far the trained point lies from the stepped one towards the mean.
    pub beta1: f64,
    /// What is kept of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Power of the number of the step in the weight of a point.
    pub r: f64,
    /// Power of the largest learning rate so far in the weight of a point.
    pub weight_lr_power: f64,
}

impl ScheduleFreeOptions {
    /// The stepped point `z` and the second moment.
    pub(super) const SLOTS: [Slot; 2] = [Slot::float32("z"), Slot::float32("exp_avg_sq")];

    /// The rule of a step.
    pub(super) fn rule(&self) -> ElementwiseRule {
        let Self { beta1, beta2, epsilon, .. } = *self;
        ElementwiseRule::ScheduleFreeAdamW { beta1, beta2, epsilon }
    }

    /// The mean of the stepped points, from the trained point and the stepped one.
    pub fn mean(&self, trained: f32, stepped: f32) -> f32 {
        let (y, z) = (f64::from(trained), f64::from(stepped));
        (y + (1.0 - 1.0 / self.beta1) * (z - y)) as f32
    }
}

/// The weights of a group's points so far: float32, as checkpoints hold them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PointWeights {
    /// Largest learning rate so far.
    pub largest_rate: f32,
    /// Sum of the weights.
    pub sum: f32,
}

impl PointWeights {
    /// With the point of one more step, and the share of that point in the mean.
    pub(super) fn with(self, options: &ScheduleFreeOptions, step: u64, rate: f64) -> (Self, f64) {
        let largest = f64::from(self.largest_rate).max(rate);
        let weight = (step as f64).powf(options.r) * largest.powf(options.weight_lr_power);
        let sum = f64::from(self.sum) + weight;
        let share = if sum == 0.0 { 0.0 } else { weight / sum };
        (Self { largest_rate: largest as f32, sum: sum as f32 }, share)
    }
}

#[cfg(test)]
mod tests {
    use super::{PointWeights, ScheduleFreeOptions};

    // Of the package schedulefree: stepʳ · (largest rate so far)ᵖ, each point's share of the sum.
    #[test]
    fn a_point_weighs_by_the_number_of_its_step_and_the_largest_rate_so_far() {
        let options = ScheduleFreeOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, r: 0.5, weight_lr_power: 2.0 };
        let (first, share) = PointWeights::default().with(&options, 1, 0.5);
        assert_eq!((first, share), (PointWeights { largest_rate: 0.5, sum: 0.25 }, 1.0));
        let (fourth, share) = first.with(&options, 4, 1.0);
        assert_eq!((fourth, share), (PointWeights { largest_rate: 1.0, sum: 2.25 }, 2.0 / 2.25));
        // A rate that falls leaves the largest as it was.
        let (ninth, share) = fourth.with(&options, 9, 0.25);
        assert_eq!((ninth, share), (PointWeights { largest_rate: 1.0, sum: 5.25 }, 3.0 / 5.25));
        assert_eq!(PointWeights::default().with(&options, 1, 0.0).1, 0.0, "no weight at all");
    }

    #[test]
    fn the_mean_is_where_the_trained_point_was_taken_from() {
        let options = ScheduleFreeOptions { beta1: 0.75, beta2: 0.999, epsilon: 1e-8, r: 0.0, weight_lr_power: 2.0 };
        let (mean, stepped) = (3.0_f32, 7.0_f32);
        let trained = 0.75 * mean + 0.25 * stepped;
        assert!((options.mean(trained, stepped) - mean).abs() < 1e-6);
    }
}
