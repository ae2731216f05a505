//! What optimizers are timed on: an adapter of rank 16 on all linear layers, or all weights of the model.

use tunesmith_ops::{Backend, Clip, Result};

use super::{Bench, Held};

const RANK: usize = 16;

/// One trained tensor.
pub struct TrainedTensor<T> {
    /// Rows and columns; a vector is one row.
    pub shape: [usize; 2],
    /// Its value.
    pub parameter: Held<T>,
    /// Its gradient.
    pub gradient: Held<T>,
    /// What an optimizer keeps of it, an element each.
    pub states: Vec<Held<T>>,
}

/// All of them.
pub struct Trained<B: Backend> {
    /// The tensors.
    pub tensors: Vec<TrainedTensor<B::Buffer>>,
    /// Norm of their gradients.
    pub norm: B::Norm,
    /// Trainable parameters.
    pub elements: usize,
}

impl<B: Backend> Bench<'_, B> {
    /// Tensors in training; the first of so many states is small and of any sign, the others are small squares.
    pub fn trained(&mut self, states: usize) -> Result<Trained<B>> {
        let shapes = if self.settings.whole { self.model.weights() } else { self.model.adapter(RANK) };
        let mut tensors = Vec::with_capacity(shapes.len());
        for shape in shapes {
            let len = shape[0] * shape[1];
            let (parameter, gradient) = (self.floats(len, 1.0)?, self.floats(len, 1.0)?);
            let held = (0..states).map(|at| if at == 0 { self.floats(len, 1e-3) } else { self.constant(1e-6, len) });
            tensors.push(TrainedTensor { shape, parameter, gradient, states: held.collect::<Result<_>>()? });
        }
        let gradients: Vec<_> = tensors.iter().map(|tensor| tensor.gradient.view()).collect();
        let norm = self.backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &gradients)?;
        let elements = gradients.iter().map(|gradient| gradient.len).sum();
        Ok(Trained { tensors, norm, elements })
    }
}
