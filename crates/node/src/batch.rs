//! A batch on its way in, and its sums on their way out.

use napi::bindgen_prelude::{Float32ArraySlice, Float64Array, Int32Array, Int32ArraySlice};
use napi_derive::napi;
use tunesmith_engine as engine;

/// A packed batch as JavaScript gives it.
#[napi(object, object_to_js = false)]
pub struct Batch<'env> {
    /// Token ids, end to end: `[T]`.
    pub input_ids: Int32ArraySlice<'env>,
    /// Label per token, not shifted: `[T]`.
    pub labels: Int32ArraySlice<'env>,
    /// Position of each token in its sequence: `[T]`.
    pub positions: Int32ArraySlice<'env>,
    /// First token of each sequence, and T: `[n + 1]`.
    pub sequence_starts: Int32ArraySlice<'env>,
    /// Loss weight per label: `[T]`; absent: 1.
    pub weights: Option<Float32ArraySlice<'env>>,
    /// Row of the data set each sequence comes from: `[n]`.
    pub row_ids: Int32ArraySlice<'env>,
}

/// A batch on its way to the engine's thread.
pub struct OwnedBatch {
    input_ids: Vec<i32>,
    labels: Vec<i32>,
    positions: Vec<i32>,
    sequence_starts: Vec<i32>,
    weights: Option<Vec<f32>>,
    row_ids: Vec<i32>,
}

impl From<&Batch<'_>> for OwnedBatch {
    /// Copies JavaScript's arrays: no thread holds on to them.
    fn from(batch: &Batch<'_>) -> Self {
        Self {
            input_ids: batch.input_ids.to_vec(),
            labels: batch.labels.to_vec(),
            positions: batch.positions.to_vec(),
            sequence_starts: batch.sequence_starts.to_vec(),
            weights: batch.weights.as_ref().map(|weights| weights.to_vec()),
            row_ids: batch.row_ids.to_vec(),
        }
    }
}

impl OwnedBatch {
    /// As the engine takes it.
    pub fn borrow(&self) -> engine::Batch<'_> {
        engine::Batch {
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
pub struct SequenceSums {
    /// Σ weight · loss, nats.
    pub loss_sum: Float64Array,
    /// Σ weight.
    pub weight_sum: Float64Array,
    /// Supervised tokens.
    pub tokens: Int32Array,
    /// Supervised tokens predicted first.
    pub correct: Int32Array,
    /// Σ entropy, nats.
    pub entropy_sum: Float64Array,
}

impl SequenceSums {
    /// Of one pass.
    pub fn new(sums: &[engine::SequenceSums]) -> Self {
        let numbers = |of: fn(&engine::SequenceSums) -> f64| Float64Array::new(sums.iter().map(of).collect());
        let counts =
            |of: fn(&engine::SequenceSums) -> u32| Int32Array::new(sums.iter().map(|sum| of(sum) as i32).collect());
        Self {
            loss_sum: numbers(|sum| sum.loss),
            weight_sum: numbers(|sum| sum.weight),
            tokens: counts(|sum| sum.tokens),
            correct: counts(|sum| sum.correct),
            entropy_sum: numbers(|sum| sum.entropy),
        }
    }
}
