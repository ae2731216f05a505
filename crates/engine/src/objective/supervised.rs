//! The tokens of a batch that carry a loss, and what comes back for them: sums per sequence, or values per token.

use tunesmith_ops::{Error, IGNORE_INDEX, Result};

use super::columns::{Asked, HostColumns};
use super::local::Objective;
use crate::batch::Batch;

/// Sums of one sequence; means are the caller's.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SequenceSums {
    /// Σ weight · loss, nats.
    pub loss: f64,
    /// Σ weight.
    pub weight: f64,
    /// Σ entropy, nats.
    pub entropy: f64,
    /// Supervised tokens.
    pub tokens: u32,
    /// Supervised tokens predicted first.
    pub correct: u32,
}

/// What the model says of each label of a batch: `[T]` each, aligned with the labels; 0 where there is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenValues {
    /// Log-probability of the label.
    pub log_prob: Vec<f32>,
    /// Entropy of the distribution, nats.
    pub entropy: Vec<f32>,
    /// log Σ exp of the logits.
    pub log_sum_exp: Vec<f32>,
    /// Mean of the log-probabilities over the vocabulary.
    pub mean_log_prob: Vec<f32>,
    /// 1 where the label is the largest logit.
    pub hit: Vec<u8>,
    /// log Σ p², where asked for.
    pub log_sum_squares: Option<Vec<f32>>,
    /// Mean of the logits over the vocabulary, where asked for.
    pub mean_logit: Option<Vec<f32>>,
}

/// The derivative of a loss by each value of each label: `[T]` each, read where there is a label. Absent is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TokenCoefficients<'a> {
    /// By the log-probability.
    pub log_prob: Option<&'a [f32]>,
    /// By the entropy.
    pub entropy: Option<&'a [f32]>,
    /// By log Σ exp of the logits.
    pub log_sum_exp: Option<&'a [f32]>,
    /// By the mean log-probability.
    pub mean_log_prob: Option<&'a [f32]>,
}

/// The labels of a batch that carry a loss.
#[derive(Debug, Clone, Default)]
pub struct Supervised {
    pub(super) labels: Vec<i32>,
    pub(super) weights: Vec<f32>,
    /// Where in the batch each label stands.
    places: Vec<usize>,
    sequences: Vec<usize>,
    sequence_count: usize,
    tokens: usize,
    /// What their logits are divided by; None: nothing.
    pub(super) temperature: Option<f32>,
}

impl Supervised {
    /// The same labels, their logits divided by a temperature.
    ///
    /// # Errors
    /// `ArgumentInvalid` for one that is not a finite number above 0.
    pub fn at(self, place: &str, temperature: Option<f32>) -> Result<Self> {
        match temperature {
            Some(value) if !value.is_finite() || value <= 0.0 => {
                let place = format!("{place}.temperature");
                Err(Error::argument(&place, "a finite temperature above 0", value))
            }
            _ => Ok(Self { temperature, ..self }),
        }
    }

    /// Picks them out of a checked batch, and with them the tokens that predict them. The first token of a sequence has nothing
    /// before it and never counts.
    pub fn of(batch: &Batch<'_>) -> (Self, Vec<i32>) {
        let (sequence_count, tokens) = (batch.sequence_starts.len() - 1, batch.labels.len());
        let mut picked = Self { sequence_count, tokens, ..Self::default() };
        let mut predicting = Vec::new();
        for (sequence, bounds) in batch.sequence_starts.windows(2).enumerate() {
            for t in bounds[0] + 1..bounds[1] {
                let place = t as usize;
                let label = batch.labels[place];
                if label != IGNORE_INDEX {
                    predicting.push(t - 1);
                    picked.labels.push(label);
                    picked.weights.push(batch.weights.map_or(1.0, |w| w[place]));
                    picked.places.push(place);
                    picked.sequences.push(sequence);
                }
            }
        }
        (picked, predicting)
    }

    /// The sums where nothing carries a loss.
    pub fn no_sums(&self) -> Vec<SequenceSums> {
        vec![SequenceSums::default(); self.sequence_count]
    }

    /// The values where nothing carries a loss.
    pub fn no_values(&self, asked: Asked) -> TokenValues {
        self.values(HostColumns::default(), asked)
    }

    /// Sums per sequence of the loss and its metrics.
    pub(super) fn sums(&self, objective: &Objective, columns: &HostColumns) -> Vec<SequenceSums> {
        let value = |column: &[f32], i: usize| column.get(i).copied().map_or(0.0, f64::from);
        let mut sums = self.no_sums();
        for (i, sequence) in self.sequences.iter().enumerate() {
            let sum = &mut sums[*sequence];
            let weight = f64::from(self.weights[i]);
            let (log_sum_exp, mean) = (value(&columns.log_sum_exp, i), value(&columns.mean_log_prob, i));
            sum.loss += weight * objective.loss(f64::from(columns.log_prob[i]), log_sum_exp, mean);
            sum.weight += weight;
            sum.entropy += f64::from(columns.entropy[i]);
            sum.tokens += 1;
            sum.correct += u32::from(columns.hit[i] > 0.5);
        }
        sums
    }

    /// Columns of the labels, put where the labels stand.
    pub(super) fn values(&self, columns: HostColumns, asked: Asked) -> TokenValues {
        let spread = |column: &[f32]| {
            let mut all = vec![0.0; self.tokens];
            self.places.iter().zip(column).for_each(|(place, value)| all[*place] = *value);
            all
        };
        TokenValues {
            log_prob: spread(&columns.log_prob),
            entropy: spread(&columns.entropy),
            log_sum_exp: spread(&columns.log_sum_exp),
            mean_log_prob: spread(&columns.mean_log_prob),
            hit: spread(&columns.hit).into_iter().map(|hit| u8::from(hit > 0.5)).collect(),
            log_sum_squares: asked.log_sum_squares.then(|| spread(&columns.log_sum_squares)),
            mean_logit: asked.mean_logit.then(|| spread(&columns.mean_logit)),
        }
    }

    /// Refuses coefficients that are not one per token of the batch.
    ///
    /// # Errors
    /// `ArgumentInvalid`.
    pub fn check(&self, coefficients: &TokenCoefficients<'_>) -> Result<()> {
        let TokenCoefficients { log_prob, entropy, log_sum_exp, mean_log_prob } = *coefficients;
        let named =
            [("logProb", log_prob), ("entropy", entropy), ("logSumExp", log_sum_exp), ("meanLogProb", mean_log_prob)];
        for (name, values) in named {
            let got = values.map_or(self.tokens, <[f32]>::len);
            if got != self.tokens {
                let expected = format!("{} values, one per token of the batch", self.tokens);
                return Err(Error::argument(&format!("backward.{name}"), expected, got));
            }
        }
        Ok(())
    }

    /// Those of [checked](Self::check) values that belong to a label.
    pub(super) fn at_labels(&self, all: &[f32]) -> Vec<f32> {
        self.places.iter().map(|place| all[*place]).collect()
    }
}
