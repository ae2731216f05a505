//! A batch on its way in, and its sums on their way out.

use napi::bindgen_prelude::{Float64Array, Int32Array};
use napi_derive::napi;
use tunesmith_engine::{Batch, SequenceSums};

/// A batch on its way to the engine's thread.
pub struct OwnedBatch {
    input_ids: Vec<i32>,
    labels: Vec<i32>,
    positions: Vec<i32>,
    sequence_starts: Vec<i32>,
    weights: Option<Vec<f32>>,
    row_ids: Vec<i32>,
}

impl OwnedBatch {
    /// Copies JavaScript's arrays: no thread holds on to them.
    pub fn copy(
        input_ids: &[i32],
        labels: &[i32],
        positions: &[i32],
        sequence_starts: &[i32],
        weights: Option<&[f32]>,
        row_ids: &[i32],
    ) -> Self {
        Self {
            input_ids: input_ids.to_vec(),
            labels: labels.to_vec(),
            positions: positions.to_vec(),
            sequence_starts: sequence_starts.to_vec(),
            weights: weights.map(<[f32]>::to_vec),
            row_ids: row_ids.to_vec(),
        }
    }

    /// As the engine takes it.
    pub fn borrow(&self) -> Batch<'_> {
        Batch {
            input_ids: &self.input_ids,
            labels: &self.labels,
            positions: &self.positions,
            sequence_starts: &self.sequence_starts,
            weights: self.weights.as_deref(),
            row_ids: Some(&self.row_ids),
        }
    }
}

/// Sums and counts per sequence.
#[napi(object)]
pub struct RowSums {
    /// Σ weight · nll, nats.
    pub loss_sum: Float64Array,
    /// Σ weight.
    pub weight_sum: Float64Array,
    /// Trained tokens.
    pub tokens: Int32Array,
    /// Trained tokens predicted first.
    pub correct: Int32Array,
    /// Σ entropy, nats.
    pub entropy_sum: Float64Array,
}

impl RowSums {
    /// Of one pass.
    pub fn new(sums: &[SequenceSums]) -> Self {
        let numbers = |of: fn(&SequenceSums) -> f64| Float64Array::new(sums.iter().map(of).collect());
        let counts = |of: fn(&SequenceSums) -> u32| Int32Array::new(sums.iter().map(|sum| of(sum) as i32).collect());
        Self {
            loss_sum: numbers(|sum| sum.loss),
            weight_sum: numbers(|sum| sum.weight),
            tokens: counts(|sum| sum.tokens),
            correct: counts(|sum| sum.correct),
            entropy_sum: numbers(|sum| sum.entropy),
        }
    }
}
