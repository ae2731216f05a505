//! `adamw`: one optimizer step over many tensors.

use crate::check::Call;
use crate::dtype::DType;
use crate::error::Result;
use crate::grad_norm::GradNorm;
use crate::memory::{TypedBuffer, View, ViewMut};

/// Constants of one AdamW step, shared by all tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Number of this step, from 1 (bias correction).
    pub step: u64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

/// One trained tensor with its state; four views of one length, all float32.
#[derive(Debug)]
pub struct AdamWTensor<'a, T> {
    /// The parameter, updated in place.
    pub parameter: ViewMut<'a, T>,
    /// Summed gradient.
    pub gradient: View<'a, T>,
    /// First moment, updated in place.
    pub first_moment: ViewMut<'a, T>,
    /// Second moment, updated in place.
    pub second_moment: ViewMut<'a, T>,
    /// Learning rate of the tensor's group.
    pub learning_rate: f64,
    /// Decoupled weight decay of the tensor's group.
    pub weight_decay: f64,
}

/// AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) in the order of `torch.optim.AdamW`: decay, moments, step
/// `lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)`.
///
/// Tolerance f32: 1e-6 relative. Edge sizes: 0, 1, 15, 16, 17, 4099; several tensors of unequal length.
pub trait AdamW: GradNorm {
    /// Steps every tensor, each gradient multiplied with the factor of `norm` first. Changes nothing when the norm is not
    /// finite.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a tensor's four views differ in length.
    fn adamw(&self, step: &AdamWStep, norm: &Self::Norm, tensors: &mut [AdamWTensor<'_, Self::Buffer>]) -> Result<()>;
}

impl<T: TypedBuffer> AdamWTensor<'_, T> {
    /// Checks the four views: float32, of the parameter's length.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check(&self) -> Result<()> {
        let (call, len) = (Call::new("adamw", DType::F32), self.parameter.len);
        call.float32("parameter", self.parameter.as_view(), len)?;
        call.float32("gradient", self.gradient, len)?;
        call.float32("first_moment", self.first_moment.as_view(), len)?;
        call.float32("second_moment", self.second_moment.as_view(), len)
    }
}

/// The same in float64, written for reading.
pub mod reference {
    use super::AdamWStep;

    /// One tensor with its state.
    #[derive(Debug, Clone)]
    pub struct Tensor {
        /// The parameter.
        pub parameter: Vec<f64>,
        /// Summed gradient.
        pub gradient: Vec<f64>,
        /// First moment.
        pub first_moment: Vec<f64>,
        /// Second moment.
        pub second_moment: Vec<f64>,
        /// Learning rate.
        pub learning_rate: f64,
        /// Decoupled weight decay.
        pub weight_decay: f64,
    }

    /// Steps one tensor in place, its gradient multiplied with `factor` first.
    pub fn adamw(step: &AdamWStep, factor: f64, tensor: &mut Tensor) {
        let correction1 = 1.0 - step.beta1.powf(step.step as f64);
        let correction2 = 1.0 - step.beta2.powf(step.step as f64);
        for i in 0..tensor.parameter.len() {
            let g = tensor.gradient[i] * factor;
            let m = step.beta1 * tensor.first_moment[i] + (1.0 - step.beta1) * g;
            let v = step.beta2 * tensor.second_moment[i] + (1.0 - step.beta2) * g * g;
            let decayed = tensor.parameter[i] * (1.0 - tensor.learning_rate * tensor.weight_decay);
            let root = (v / correction2).sqrt() + step.epsilon;
            tensor.parameter[i] = decayed - tensor.learning_rate / correction1 * m / root;
            tensor.first_moment[i] = m;
            tensor.second_moment[i] = v;
        }
    }
}
