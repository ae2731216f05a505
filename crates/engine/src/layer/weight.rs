//! The tensors of a layer, frozen or trained, and where a backward pass adds their gradients.

use std::sync::Arc;

use tunesmith_ops::{Matmul, Matrix, Memory, Storage, View, ViewMut};

use crate::optimizer::{Gradients, ParameterId, Parameters};

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

/// How the frozen matrices of a decoder are held.
#[derive(Debug, Clone, Copy)]
pub struct FrozenWeights {
    /// Storage of those that are not quantised.
    pub storage: Storage,
    /// Those of linear layers are in four bits.
    pub four_bits: bool,
    /// Head and embedding are one matrix.
    pub tied: bool,
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

/// What a backward pass reads and where it adds.
pub struct Backward<'a, B: Memory> {
    /// Values of the trained tensors.
    pub parameters: &'a Parameters<B>,
    /// Their gradients.
    pub gradients: &'a mut Gradients<B>,
}
