//! `sgd`: one step of stochastic gradient descent with momentum over many tensors.

use crate::check::Call;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grad_norm::GradNorm;
use crate::memory::{TypedBuffer, View, ViewMut};

/// Constants of one SGD step, shared by all tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// Number of this step, from 1: the first one fills the buffers with the gradient, whatever they held.
    pub step: u64,
    /// What is kept of the buffer, at least 0; with 0 there is none.
    pub momentum: f64,
    /// What the gradient loses on its way into the buffer.
    pub dampening: f64,
    /// Looks ahead by one more step of the buffer.
    pub nesterov: bool,
}

impl SgdStep {
    /// Checks the constants of a call of [`Sgd::sgd`].
    ///
    /// # Errors
    /// `ArgumentInvalid` when the momentum is below 0, the dampening is not finite, or Nesterov's step has no momentum or a
    /// dampening.
    pub fn check(&self) -> Result<()> {
        let op = "sgd";
        let Self { momentum, dampening, nesterov, .. } = *self;
        if !(0.0..f64::INFINITY).contains(&momentum) {
            return Err(Error::argument(op, "a momentum of at least 0", momentum));
        }
        if !dampening.is_finite() {
            return Err(Error::argument(op, "a finite dampening", dampening));
        }
        if nesterov && (momentum == 0.0 || dampening != 0.0) {
            let got = format!("momentum {momentum} and dampening {dampening}");
            return Err(Error::argument(op, "momentum above 0 and no dampening with Nesterov's step", got));
        }
        Ok(())
    }

    /// Checks that a tensor has a buffer where there is momentum, and only there.
    fn check_buffer(&self, op: &str, present: bool) -> Result<()> {
        match (self.momentum != 0.0, present) {
            (true, false) => Err(Error::argument(op, "a momentum buffer", "none")),
            (false, true) => Err(Error::argument(op, "no momentum buffer where the momentum is 0", "one")),
            _ => Ok(()),
        }
    }
}

/// One trained tensor with its state; views of one length, all float32.
#[derive(Debug)]
pub struct SgdTensor<'a, T> {
    /// The parameter, updated in place.
    pub parameter: ViewMut<'a, T>,
    /// Summed gradient.
    pub gradient: View<'a, T>,
    /// Momentum buffer, updated in place; absent where the momentum is 0.
    pub momentum_buffer: Option<ViewMut<'a, T>>,
    /// Learning rate of the tensor's group.
    pub learning_rate: f64,
    /// Weight decay of the tensor's group, added to the gradient.
    pub weight_decay: f64,
}

impl<T: TypedBuffer> SgdTensor<'_, T> {
    /// Checks the views for a step: float32, of the parameter's length, a buffer where there is momentum and only there.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check(&self, step: &SgdStep) -> Result<()> {
        let (call, len) = (Call::new("sgd", DType::F32), self.parameter.len);
        call.float32("parameter", self.parameter.as_view(), len)?;
        call.float32("gradient", self.gradient, len)?;
        step.check_buffer(call.op, self.momentum_buffer.is_some())?;
        call.float32_if_given("momentum_buffer", self.momentum_buffer.as_ref().map(ViewMut::as_view), len)
    }
}

/// Stochastic gradient descent with momentum (Polyak 1964, doi:10.1016/0041-5553(64)90137-5) and Nesterov's form of it
/// (Sutskever et al. 2013, proceedings.mlr.press/v28/sutskever13.html) in the order of `torch.optim.SGD`:
/// `g + weight_decay · p`, buffer `b = momentum · b + (1 − dampening) · g`, on the first step `b = g`; then `p − lr · b`, with
/// Nesterov `p − lr · (g + momentum · b)`, without momentum `p − lr · g`.
///
/// Tolerance f32: 1e-6 relative. Edge sizes: 0, 1, 15, 16, 17, 4099; several tensors of unequal length.
pub trait Sgd: GradNorm {
    /// Steps every tensor, each gradient multiplied with the factor of `norm` first. Changes nothing when the norm is not
    /// finite.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a constant lies outside its range, a buffer is missing or in vain, or a tensor's views differ in
    /// length.
    fn sgd(&self, step: &SgdStep, norm: &Self::Norm, tensors: &mut [SgdTensor<'_, Self::Buffer>]) -> Result<()>;
}

/// The same in float64, written for reading.
pub mod reference {
    use super::SgdStep;

    /// One tensor with its state.
    #[derive(Debug, Clone)]
    pub struct Tensor {
        /// The parameter.
        pub parameter: Vec<f64>,
        /// Summed gradient.
        pub gradient: Vec<f64>,
        /// Momentum buffer; of no meaning where the momentum is 0.
        pub momentum_buffer: Vec<f64>,
        /// Learning rate.
        pub learning_rate: f64,
        /// Weight decay, added to the gradient.
        pub weight_decay: f64,
    }

    /// Steps one tensor in place, its gradient multiplied with `factor` first.
    pub fn sgd(step: &SgdStep, factor: f64, tensor: &mut Tensor) {
        for i in 0..tensor.parameter.len() {
            let g = tensor.gradient[i] * factor + tensor.weight_decay * tensor.parameter[i];
            let direction = if step.momentum == 0.0 {
                g
            } else {
                let kept = step.momentum * tensor.momentum_buffer[i];
                let b = if step.step == 1 { g } else { kept + (1.0 - step.dampening) * g };
                tensor.momentum_buffer[i] = b;
                if step.nesterov { g + step.momentum * b } else { b }
            };
            tensor.parameter[i] -= tensor.learning_rate * direction;
        }
    }
}
