//! `grad_norm`: the sum of squares of many tensors.

use crate::error::Result;
use crate::memory::{Memory, View};

/// Global gradient norm (Pascanu et al. 2012, arXiv:1211.5063), before clipping.
///
/// Squares are added in binary64 over fixed chunks of 4096 elements, the chunks in index order: the same bits with any
/// number of threads. Tolerance: 1e-12 relative. Edge sizes: no tensor; lengths 0, 1, 4095, 4096, 4097; NaN and infinity.
pub trait GradNorm: Memory {
    /// Sum of squares over all tensors; not finite when any element is not finite (or overflows).
    ///
    /// # Errors
    /// `ArgumentInvalid` when a window is not floating point.
    fn squared_sum(&self, tensors: &[View<'_, Self::Buffer>]) -> Result<f64>;
}

/// The same as one plain sum, written for reading.
pub mod reference {
    /// Sum of squares.
    pub fn squared_sum<'a>(tensors: impl IntoIterator<Item = &'a [f64]>) -> f64 {
        tensors.into_iter().flatten().map(|x| x * x).sum()
    }
}
