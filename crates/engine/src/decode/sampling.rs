//! Choosing a token from logits: Hugging Face's processors, in their order.

use std::cmp::Ordering;

use tunesmith_ops::{Error, Result};

use crate::rng::{Philox, Purpose};

/// How a token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// SavePolicy the k largest logits; 0 keeps all.
    pub top_k: usize,
    /// SavePolicy the smallest set of tokens whose probability reaches this (Holtzman et al. 2019, arXiv:1904.09751); 1 keeps all.
    pub top_p: f64,
    /// Drop tokens less likely than this times the likeliest (Nguyen et al. 2024, arXiv:2407.01082); 0 keeps all.
    pub min_p: f64,
    /// Divides positive and multiplies negative logits of tokens already there (Keskar et al. 2019, arXiv:1909.05858).
    pub repetition_penalty: f64,
    /// Seeds the draw.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// Checks every range.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the option.
    pub fn check(&self) -> Result<()> {
        let rules = [
            ("temperature", self.temperature, self.temperature >= 0.0, "a number of at least 0"),
            ("topP", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "a number in (0, 1]"),
            ("minP", self.min_p, (0.0..=1.0).contains(&self.min_p), "a number in [0, 1]"),
            ("repetitionPenalty", self.repetition_penalty, self.repetition_penalty > 0.0, "a number above 0"),
        ];
        for (name, value, holds, expected) in rules {
            if !holds || !value.is_finite() {
                return Err(Error::argument(&format!("generate.{name}"), expected, value));
            }
        }
        Ok(())
    }

    /// The next token: the largest logit (lowest id on a tie) when greedy, else a draw keyed by `(seed, stream, place)`.
    pub fn choose(&self, logits: &mut [f32], context: &[i32], stream: u32, place: u64) -> usize {
        self.penalise(logits, context);
        if self.temperature == 0.0 {
            return largest(logits);
        }
        let probabilities = self.filtered(logits);
        draw(&probabilities, Philox::new(self.seed).uniform(Purpose::Sampling, stream, place))
    }

    /// Probabilities after every processor: penalty, temperature, top-k, top-p, min-p. Temperature 0 is read as 1 here.
    pub fn probabilities(&self, logits: &mut [f32], context: &[i32]) -> Vec<f32> {
        self.penalise(logits, context);
        self.filtered(logits)
    }

    fn penalise(&self, logits: &mut [f32], context: &[i32]) {
        if (self.repetition_penalty - 1.0).abs() < f64::EPSILON {
            return;
        }
        let penalty = self.repetition_penalty as f32;
        let mut seen = vec![false; logits.len()];
        for id in context {
            let id = *id as usize;
            if id < logits.len() && !seen[id] {
                seen[id] = true;
                let logit = &mut logits[id];
                *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
            }
        }
    }

    fn filtered(&self, logits: &mut [f32]) -> Vec<f32> {
        if self.temperature > 0.0 {
            let temperature = self.temperature as f32;
            for logit in logits.iter_mut() {
                *logit /= temperature;
            }
        }
        if self.top_k > 0 && self.top_k < logits.len() {
            let mut sorted = logits.to_vec();
            let (_, kth, _) = sorted.select_nth_unstable_by(self.top_k - 1, |a, b| descending(*a, *b));
            let kth = *kth;
            drop_where(logits, |logit| logit < kth);
        }
        if self.top_p < 1.0 {
            self.keep_nucleus(logits);
        }
        if self.min_p > 0.0 {
            let probabilities = softmax(logits);
            let most = probabilities.iter().copied().fold(0.0f32, f32::max);
            let floor = self.min_p as f32 * most;
            for (logit, probability) in logits.iter_mut().zip(&probabilities) {
                if *probability < floor {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        softmax(logits)
    }

    /// Drops, from the least likely up, tokens whose cumulative probability stays within `1 − top_p`; one always remains.
    fn keep_nucleus(&self, logits: &mut [f32]) {
        let probabilities = softmax(logits);
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| descending(logits[*b], logits[*a]));
        let tail = 1.0 - self.top_p as f32;
        let mut cumulative = 0.0;
        for id in &order[..order.len() - 1] {
            cumulative += probabilities[*id];
            if cumulative > tail {
                break;
            }
            logits[*id] = f32::NEG_INFINITY;
        }
    }
}

fn descending(a: f32, b: f32) -> Ordering {
    b.total_cmp(&a)
}

fn drop_where(logits: &mut [f32], out: impl Fn(f32) -> bool) {
    for logit in logits {
        if out(*logit) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Index of the largest value; the lowest index on a tie.
fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut values: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
    for value in &mut values {
        *value = (f64::from(*value) / sum) as f32;
    }
    values
}

fn draw(probabilities: &[f32], uniform: f64) -> usize {
    let total: f64 = probabilities.iter().map(|p| f64::from(*p)).sum();
    let mut left = uniform * total;
    let mut last = 0;
    for (id, probability) in probabilities.iter().enumerate() {
        if *probability > 0.0 {
            last = id;
            left -= f64::from(*probability);
            if left < 0.0 {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_lowest_id_on_a_tie() {
        let mut logits = [0.5, 2.0, 2.0, -1.0];
        assert_eq!(Sampling::default().choose(&mut logits, &[], 0, 0), 1);
    }

    #[test]
    fn draws_follow_the_probabilities_and_repeat_with_the_seed() {
        let sampling = Sampling { temperature: 1.0, seed: 11, ..Sampling::default() };
        let logits = [0.0f32, 3f32.ln(), f32::NEG_INFINITY];
        let mut counts = [0usize; 3];
        for place in 0..4000 {
            let token = sampling.choose(&mut logits.clone(), &[], 5, place);
            assert_eq!(token, sampling.choose(&mut logits.clone(), &[], 5, place));
            counts[token] += 1;
        }
        assert_eq!(counts[2], 0);
        assert!((counts[1] as f64 / 4000.0 - 0.75).abs() < 0.03);
    }

    #[test]
    fn filters_keep_at_least_one_token() {
        let sampling = Sampling { temperature: 0.1, top_k: 1, top_p: 1e-6, min_p: 1.0, ..Sampling::default() };
        let probabilities = sampling.probabilities(&mut [1.0, 0.0, 4.0], &[]);
        assert_eq!(probabilities, [0.0, 0.0, 1.0]);
    }

    #[test]
    fn ranges_are_checked() {
        for wrong in [
            Sampling { temperature: -1.0, ..Sampling::default() },
            Sampling { top_p: 0.0, ..Sampling::default() },
            Sampling { min_p: 1.5, ..Sampling::default() },
            Sampling { repetition_penalty: f64::NAN, ..Sampling::default() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert!(Sampling::default().check().is_ok());
    }
}
