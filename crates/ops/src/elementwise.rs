//! `elementwise`: sums of whole tensors and of rows.

use crate::error::Result;
use crate::memory::{Memory, View, ViewMut};

/// Additions without a shape of their own.
///
/// Letters: `m` rows, `n` columns. Tolerance f32: 1e-6 relative to the largest output; `sum_rows` 1e-5.
/// Edge sizes: 0, 1, 15, 16, 17, 4099.
pub trait Elementwise: Memory {
    /// `y[i] += x[i]`; accumulates. `x` and `y` of one length.
    ///
    /// # Errors
    /// `ArgumentInvalid` on unequal lengths.
    fn add(&self, x: View<'_, Self::Buffer>, y: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// `y[n] += sum over m of x[m, n]`; accumulates, in fixed chunks of 256 rows combined in index order
    /// (the gradient of a bias).
    ///
    /// # Errors
    /// `ArgumentInvalid` when the windows are not `m·n` and `n` long.
    fn sum_rows(&self, m: usize, n: usize, x: View<'_, Self::Buffer>, y: ViewMut<'_, Self::Buffer>) -> Result<()>;
}

/// The same in binary64, written for reading.
pub mod reference {
    /// `x + y`.
    pub fn add(x: &[f64], y: &[f64]) -> Vec<f64> {
        x.iter().zip(y).map(|(a, b)| a + b).collect()
    }

    /// Sum of the rows of `x[m, n]`.
    pub fn sum_rows(n: usize, x: &[f64]) -> Vec<f64> {
        (0..n).map(|j| x.iter().skip(j).step_by(n.max(1)).sum()).collect()
    }
}
