//! One linear layer: frozen, trained, or frozen with a LoRA adapter; forward and backward in one place.

use std::sync::Arc;

use tunesmith_ops::{Backend, Matmul, MatmulShape, Matrix, Memory, Result, View, ViewMut};

use crate::adapted::{Adapted, AdapterScratch, Kept, LoraSlot};
use crate::batch::Rows;
use crate::parameters::{Gradients, ParameterId, Parameters};

/// A weight matrix `[n, k]` of the model.
pub enum Weight<B: Matmul> {
    /// Never trained. Shared, since a tied head and the embedding are one matrix.
    Frozen(Arc<B::Weight>),
    /// Trained in full.
    Trained(ParameterId),
}

impl<B: Matmul> Clone for Weight<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Frozen(weight) => Self::Frozen(Arc::clone(weight)),
            Self::Trained(id) => Self::Trained(*id),
        }
    }
}

impl<B: Matmul> Weight<B> {
    /// The matrix as the ops take it.
    pub fn matrix<'a>(&'a self, parameters: &'a Parameters<B>) -> Matrix<'a, B::Weight, B::Buffer> {
        match self {
            Self::Frozen(weight) => Matrix::Frozen(weight),
            Self::Trained(id) => Matrix::Trained(parameters.value(*id)),
        }
    }
}

/// A vector of the model: a norm scale or a bias.
pub enum Vector<B: Memory> {
    /// Never trained; its buffer and length.
    Frozen(B::Buffer, usize),
    /// Trained.
    Trained(ParameterId),
}

impl<B: Memory> Vector<B> {
    /// The vector as the ops take it.
    pub fn view<'a>(&'a self, parameters: &'a Parameters<B>) -> View<'a, B::Buffer> {
        match self {
            Self::Frozen(buffer, len) => View::new(buffer, 0, *len),
            Self::Trained(id) => parameters.value(*id),
        }
    }

    /// Where its gradient goes, if it has one.
    pub fn gradient<'a>(&self, gradients: &'a mut Gradients<B>) -> Option<ViewMut<'a, B::Buffer>> {
        match self {
            Self::Frozen(..) => None,
            Self::Trained(id) => Some(gradients.of(*id)),
        }
    }
}

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
}

/// What a backward pass reads and where it adds.
pub struct Backward<'a, B: Memory> {
    /// Values of the trained tensors.
    pub parameters: &'a Parameters<B>,
    /// Their gradients.
    pub gradients: &'a mut Gradients<B>,
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
        kept: &mut Kept<B>,
        scratch: &mut AdapterScratch<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        if let Some(slot) = &self.lora {
            return Adapted { linear: self, slot, backend, rows }.forward(parameters, x, kept, scratch, y);
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
        kept: &Kept<B>,
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
            let adapted = Adapted { linear: self, slot, backend, rows };
            return adapted.backward(pass, dy, x, kept, scratch, dx, accumulate);
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
