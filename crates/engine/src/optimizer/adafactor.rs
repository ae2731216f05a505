//! Adafactor: second moments by row and by column, a first moment or none.

use serde::Deserialize;
use tunesmith_ops::{AdafactorStep, AdafactorTensor, Backend, Result};

use super::parameters::ParameterSpec;
use super::slot::{Slot, SlotShape};
use super::step::Step;
use super::trained::Trained;
use crate::internal::internal;

/// Constants of Adafactor (Shazeer and Stern 2018, arXiv:1804.04235) with the learning rate that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdafactorOptions {
    /// Power of the number of the step in what the second moments take.
    pub decay_rate: f64,
    /// Added to every square, and the least scale of a parameter.
    pub epsilon: [f64; 2],
    /// Largest root mean square of an update.
    pub clip_threshold: f64,
    /// What is kept of the first moment; none: there is none.
    pub beta1: Option<f64>,
    /// Rates are multiplied with the root mean square of the parameter.
    pub scale_parameter: bool,
}

/// Moments of the rows of a matrix and of its columns.
const FACTORED: [Slot; 2] =
    [Slot::of("exp_avg_sq_row", SlotShape::Rows), Slot::of("exp_avg_sq_col", SlotShape::Columns)];

impl AdafactorOptions {
    /// Second moments, of a vector those of its elements; the first moment, where there is one.
    pub(super) fn slots(&self, spec: &ParameterSpec) -> Vec<Slot> {
        let second = if is_factored(spec) { FACTORED.to_vec() } else { vec![Slot::float32("exp_avg_sq")] };
        let first = self.beta1.map(|_| Slot::float32("exp_avg"));
        second.into_iter().chain(first).collect()
    }

    pub(super) fn step<B: Backend>(&self, at: &Step<'_, B>, tensors: Vec<Trained<'_, B::Buffer>>) -> Result<()> {
        let Self { decay_rate, epsilon, clip_threshold, beta1, scale_parameter } = *self;
        let step = AdafactorStep { step: at.number, decay_rate, epsilon, clip_threshold, beta1, scale_parameter };
        let mut tensors = tensors.into_iter().map(tensor).collect::<Result<Vec<_>>>()?;
        at.backend.adafactor(&step, at.norm, &mut tensors)
    }
}

/// Whether the second moments of a tensor are by row and by column: those of matrices and of stacks of them.
fn is_factored(spec: &ParameterSpec) -> bool {
    spec.shape.len() >= 2
}

fn tensor<T>(trained: Trained<'_, T>) -> Result<AdafactorTensor<'_, T>> {
    let mut slots = trained.slots.into_iter();
    let row_moment = if is_factored(trained.spec) { slots.next() } else { None };
    let column_moment = slots.next().ok_or_else(|| internal("adafactor", "a second moment of every tensor"))?;
    Ok(AdafactorTensor {
        parameter: trained.parameter,
        gradient: trained.gradient,
        shape: trained.spec.held_matrices(),
        row_moment,
        column_moment,
        first_moment: slots.next(),
        learning_rate: trained.rate,
        weight_decay: trained.decay,
    })
}
