//! What an adapter's file holds of one module.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::names::FactorKind;
use crate::transpose::transposed;

/// A tensor of an adapter file, converted to float32.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterTensor {
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub data: Vec<f32>,
}

impl AdapterTensor {
    /// Rows of a matrix.
    fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or_default()
    }

    /// Columns of a matrix.
    fn columns(&self) -> usize {
        self.shape.get(1).copied().unwrap_or_default()
    }

    /// A matrix with its rows and columns exchanged.
    #[must_use]
    pub fn transposed(&self) -> Self {
        Self { shape: vec![self.columns(), self.rows()], data: transposed(&self.data, self.columns()) }
    }
}

/// The two factors of one adapted module, as the file has them.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraTensors {
    /// What they are on.
    pub kind: FactorKind,
    /// A \[r, in\].
    pub a: AdapterTensor,
    /// B \[out, r\].
    pub b: AdapterTensor,
    /// Lengths \[out\] of a DoRA's rows.
    pub magnitude: Option<AdapterTensor>,
    /// Bias \[out\] of B.
    pub bias: Option<AdapterTensor>,
}

impl LoraTensors {
    /// Shape of the weight that they change.
    pub fn weight_shape(&self) -> [usize; 2] {
        let (input, output) = (self.a.columns(), self.b.rows());
        match self.kind {
            FactorKind::Linear | FactorKind::Experts => [output, input],
            FactorKind::Embedding => [input, output],
        }
    }

    /// The factors `left[n, r]` and `right[r, k]` of one of several experts, likewise.
    pub fn product_of_expert(&self, expert: usize, r: usize) -> [Vec<f32>; 2] {
        let (k, columns) = (self.a.columns(), self.b.columns());
        let experts = self.a.rows().checked_div(r).unwrap_or_default();
        let row = |row: &[f32]| row.iter().skip(expert).step_by(experts.max(1)).copied().collect::<Vec<_>>();
        let left = self.b.data.chunks(columns.max(1)).flat_map(row).collect();
        let right = self.a.data.chunks(k.max(1)).skip(expert.saturating_mul(r)).take(r).flatten().copied().collect();
        [left, right]
    }

    /// Experts of factors of rank `r`.
    pub fn experts(&self, r: usize) -> usize {
        self.a.rows().checked_div(r).unwrap_or_default()
    }

    /// The factors `left[n, r]` and `right[r, k]` by whose product a weight `[n, k]` changes.
    pub fn product(&self) -> [Cow<'_, [f32]>; 2] {
        let (a, b) = (&self.a, &self.b);
        match self.kind {
            FactorKind::Linear | FactorKind::Experts => [Cow::Borrowed(&b.data), Cow::Borrowed(&a.data)],
            FactorKind::Embedding => [a, b].map(|factor| Cow::Owned(factor.transposed().data)),
        }
    }
}

/// The tensors of one module in an adapter file.
#[derive(Debug, Clone, PartialEq)]
pub enum ModuleTensors {
    /// Low-rank factors.
    Lora(LoraTensors),
    /// The module's own tensors, by their last names (`weight`, `bias`).
    Saved(BTreeMap<String, AdapterTensor>),
}
