//! One linear layer: frozen, trained, or frozen with a LoRA adapter; forward and backward in one place.

use tunesmith_ops::{Backend, MatmulShape, Result, View, ViewMut};

use super::lora::{Adapted, AdapterScratch, LoraSlot, SavedLora};
use super::token_rows::TokenRows;
use super::weight::{Backward, Vector, Weight};
use crate::batch::Rows;
use crate::optimizer::Parameters;

/// `y = x wᵀ + bias`, and what an adapter adds to it.
pub struct Linear<B: Backend> {
    /// Name of the module in Hugging Face checkpoints.
    pub module: String,
    /// Out features.
    pub n: usize,
    /// In features.
    pub k: usize,
    /// The matrix `[n, k]`.
    pub weight: Weight<B>,
    /// `[n]`.
    pub bias: Option<Vector<B>>,
    /// The adapter, if the layer has one.
    pub lora: Option<LoraSlot>,
    /// Rows that are trained in place of those of a frozen weight: of the head alone, which computes with them.
    pub tokens: Option<TokenRows<B>>,
}

impl<B: Backend> Linear<B> {
    /// True when the weight or an adapter is trained.
    pub fn is_trained(&self) -> bool {
        let trained_bias = matches!(self.bias, Some(Vector::Trained(_)));
        self.lora.is_some() || matches!(self.weight, Weight::Trained(_)) || trained_bias
    }

    fn shape(&self, m: usize) -> MatmulShape {
        MatmulShape { m, n: self.n, k: self.k }
    }

    fn adapted<'a>(&'a self, slot: &'a LoraSlot, backend: &'a B, rows: Rows<'a, B>) -> Adapted<'a, B> {
        Adapted { shape: self.shape(rows.count), weight: &self.weight, bias: self.bias.as_ref(), slot, backend, rows }
    }

    /// Writes `y[m, n]` for the `m` tokens of `rows`; keeps what an adapter needs for backward.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn forward(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        rows: Rows<'_, B>,
        x: View<'_, B::Buffer>,
        kept: &mut SavedLora<B>,
        scratch: &mut AdapterScratch<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        if let Some(slot) = &self.lora {
            return self.adapted(slot, backend, rows).forward(parameters, x, kept, scratch, y);
        }
        let bias = self.bias.as_ref().map(|bias| bias.view(parameters));
        backend.matmul_forward(self.shape(rows.count), x, self.weight.matrix(parameters), bias, y)
    }

    /// Adds the gradients of whatever is trained here, and gives `dx` where it is asked for. `x` is forward's input.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn backward(
        &self,
        backend: &B,
        pass: &mut Backward<'_, B>,
        rows: Rows<'_, B>,
        dy: View<'_, B::Buffer>,
        x: View<'_, B::Buffer>,
        kept: &SavedLora<B>,
        scratch: &mut AdapterScratch<B>,
        dx: Option<ViewMut<'_, B::Buffer>>,
        accumulate: bool,
    ) -> Result<()> {
        let shape = self.shape(rows.count);
        if let Some(db) = self.bias.as_ref().and_then(|bias| bias.gradient(pass.gradients)) {
            backend.sum_rows(shape.m, self.n, dy, db)?;
        }
        if let Weight::Trained(id) = &self.weight {
            backend.matmul_backward_weight(shape, dy, x, pass.gradients.of(*id))?;
        }
        if let Some(slot) = &self.lora {
            return self.adapted(slot, backend, rows).backward(pass, dy, x, kept, scratch, dx, accumulate);
        }
        match dx {
            Some(dx) => {
                let weight = self.weight.matrix(pass.parameters);
                backend.matmul_backward_input(shape, dy, weight, dx, accumulate)
            }
            None => Ok(()),
        }
    }
}
