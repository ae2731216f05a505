//! `grad_norm`: the global norm of many tensors, and the factor it puts on them.

use crate::check::Call;
use crate::dtype::DType;
use crate::error::Result;
use crate::memory::{Memory, TypedBuffer, View};

/// How a summed gradient becomes the gradient of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// The sum is divided by this.
    pub denominator: f64,
    /// The norm of the quotient is brought down to this; none: no clipping.
    pub max_grad_norm: Option<f64>,
}

impl Clip {
    /// The norm after dividing, from the sum of squares before it.
    pub fn norm(&self, squared_sum: f64) -> f64 {
        squared_sum.sqrt() / self.denominator
    }

    /// What each element of the sum is multiplied with: `min(1, max / (norm + 1e-6)) / denominator`, as
    /// `torch.nn.utils.clip_grad_norm_`.
    pub fn factor(&self, norm: f64) -> f64 {
        self.max_grad_norm.map_or(1.0, |max| (max / (norm + 1e-6)).min(1.0)) / self.denominator
    }
}

/// Global gradient norm (Pascanu et al. 2012, arXiv:1211.5063), before clipping. It stays on the device, where `adamw`
/// reads it: a step needs no answer from the device before its end.
///
/// Squares are added in float64 over fixed chunks of 4096 elements, the chunks in index order: the same bits with any
/// number of threads. Tolerance: 1e-12 relative. Edge sizes: no tensor; lengths 0, 1, 4095, 4096, 4097; NaN and infinity.
pub trait GradNorm: Memory {
    /// Norm and factor, where the device holds them.
    type Norm: Send + Sync;

    /// The norm over all tensors, `f32` each; not finite when any element is not finite (or overflows).
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view is not float32.
    fn grad_norm(&self, clip: &Clip, tensors: &[View<'_, Self::Buffer>]) -> Result<Self::Norm>;

    /// The norm after dividing and before clipping, waiting for work in flight.
    ///
    /// # Errors
    /// Whatever the queued work failed with.
    fn read_norm(&self, norm: &Self::Norm) -> Result<f64>;
}

/// Checks the tensors of [`GradNorm::grad_norm`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check<T: TypedBuffer>(tensors: &[View<'_, T>]) -> Result<()> {
    let call = Call::new("grad_norm", DType::F32);
    tensors.iter().try_for_each(|tensor| call.float32("tensor", *tensor, tensor.len))
}

/// The same as one plain sum, written for reading.
pub mod reference {
    /// Sum of squares.
    pub fn squared_sum<'a>(tensors: impl IntoIterator<Item = &'a [f64]>) -> f64 {
        tensors.into_iter().flatten().map(|x| x * x).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Clip;

    // AdamW hardly sees a constant factor on the gradient, so a trajectory cannot hold this formula to its source.
    #[test]
    fn the_clip_factor_brings_a_large_norm_to_the_limit_and_leaves_a_small_one() {
        let clip = |max_grad_norm| Clip { denominator: 2.0, max_grad_norm };
        assert!((clip(Some(1.0)).factor(4.0) - 0.5 / (4.0 + 1e-6)).abs() < 1e-15);
        assert!((clip(Some(1.0)).factor(0.6) - 0.5).abs() < 1e-15);
        assert!((clip(None).factor(4.0) - 0.5).abs() < 1e-15);
        assert!((clip(None).norm(9.0) - 1.5).abs() < 1e-15);
    }
}
