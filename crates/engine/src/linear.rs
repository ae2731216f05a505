//! One linear layer: frozen, trained, or frozen with a LoRA adapter; forward and backward in one place.

use std::sync::Arc;

use tunesmith_ops::{Backend, Lora, Matmul, MatmulShape, Matrix, Memory, Result, View, ViewMut};

use crate::parameters::{Gradients, ParameterId, Parameters};
use crate::workspace::Slab;

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

/// A LoRA adapter on a layer.
#[derive(Debug, Clone, Copy)]
pub struct LoraSlot {
    /// `A[r, k]`.
    pub a: ParameterId,
    /// `B[n, r]`.
    pub b: ParameterId,
    /// Rank.
    pub r: usize,
    /// Scale `s`.
    pub scale: f32,
}

/// `y = x wᵀ + bias (+ s · x Aᵀ Bᵀ)`.
pub struct Linear<B: Backend> {
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
    /// Scratch for `dy B`.
    pub dyb: &'a mut Slab<B>,
}

impl<B: Backend> Linear<B> {
    /// True when the weight or an adapter is trained.
    pub fn is_trained(&self) -> bool {
        self.lora.is_some() || matches!(self.weight, Weight::Trained(_))
    }

    fn shape(&self, m: usize) -> MatmulShape {
        MatmulShape { m, n: self.n, k: self.k }
    }

    fn adapter<'a>(slot: &LoraSlot, parameters: &'a Parameters<B>) -> Lora<'a, B::Buffer> {
        Lora { r: slot.r, a: parameters.value(slot.a), b: parameters.value(slot.b), scale: slot.scale }
    }

    /// Writes `y[m, n]`; keeps `x Aᵀ` in `xa` where the layer is adapted.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn forward(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        m: usize,
        x: View<'_, B::Buffer>,
        xa: &mut Slab<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let weight = self.weight.matrix(parameters);
        let bias = self.bias.as_ref().map(|bias| bias.view(parameters));
        match &self.lora {
            None => backend.matmul_forward(self.shape(m), x, weight, bias, y),
            Some(slot) => backend.lora_forward(
                self.shape(m),
                x,
                weight,
                bias,
                Self::adapter(slot, parameters),
                xa.write(backend, m * slot.r)?,
                y,
            ),
        }
    }

    /// Adds the gradients of whatever is trained here, and gives `dx` where it is asked for.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn backward(
        &self,
        backend: &B,
        pass: &mut Backward<'_, B>,
        m: usize,
        dy: View<'_, B::Buffer>,
        x: View<'_, B::Buffer>,
        xa: &Slab<B>,
        dx: Option<ViewMut<'_, B::Buffer>>,
        accumulate: bool,
    ) -> Result<()> {
        let shape = self.shape(m);
        if let Some(db) = self.bias.as_ref().and_then(|bias| bias.gradient(pass.gradients)) {
            backend.sum_rows(m, self.n, dy, db)?;
        }
        if let Weight::Trained(id) = &self.weight {
            backend.matmul_backward_weight(shape, dy, x, pass.gradients.of(*id))?;
        }
        let weight = self.weight.matrix(pass.parameters);
        if let Some(slot) = &self.lora {
            let (da, db) = pass.gradients.pair(slot.a, slot.b);
            return backend.lora_backward(
                shape,
                dy,
                x,
                xa.view(m * slot.r)?,
                weight,
                Self::adapter(slot, pass.parameters),
                pass.dyb.write(backend, m * slot.r)?,
                da,
                db,
                dx,
                accumulate,
            );
        }
        match dx {
            Some(dx) => backend.matmul_backward_input(shape, dy, weight, dx, accumulate),
            None => Ok(()),
        }
    }
}
