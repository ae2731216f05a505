//! `elementwise`: sums of whole tensors and of rows, multiples, and columns copied between matrices.

use crate::check::Call;
use crate::error::{Error, Result};
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

/// A block of neighbouring columns of a row-major matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// Columns of the whole matrix.
    pub stride: usize,
    /// First column of the block.
    pub start: usize,
}

/// What needs no op of its own.
///
/// Letters: `m` rows, `n` columns. Tolerance f32: 1e-6 relative to the largest output, bf16: 4e-3; `sum_rows`, from
/// activations into float32, 1e-5; `copy_columns`
/// exact. Edge sizes: 0, 1, 15, 16, 17, 4099.
pub trait Elementwise: Memory {
    /// `y[i] += x[i]`; accumulates. `x` and `y` of one length, both activations or both float32.
    ///
    /// # Errors
    /// `ArgumentInvalid` on unequal lengths.
    fn add(&self, x: View<'_, Self::Buffer>, y: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// `y[i] *= factor`, in place; activations or float32.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the view does not lie in its buffer.
    fn scale(&self, factor: f32, y: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// `y[i, to.start + j] = x[i, from.start + j]` for `m` rows and `width` columns; the rest of `y` stays. `x` is
    /// `m · from.stride` long, `y` is `m · to.stride` long, both of one dtype: taking a fused projection apart, and
    /// putting its gradient together.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a block does not lie in its matrix, or a matrix not in its view.
    fn copy_columns(
        &self,
        m: usize,
        width: usize,
        x: View<'_, Self::Buffer>,
        from: Columns,
        y: ViewMut<'_, Self::Buffer>,
        to: Columns,
    ) -> Result<()>;

    /// `y[n] += sum over m of x[m, n]`; accumulates, in fixed chunks of 256 rows combined in index order
    /// (the gradient of a bias).
    ///
    /// # Errors
    /// `ArgumentInvalid` when the views are not `m·n` and `n` long.
    fn sum_rows(&self, m: usize, n: usize, x: View<'_, Self::Buffer>, y: ViewMut<'_, Self::Buffer>) -> Result<()>;
}

/// Checks the views of [`Elementwise::add`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_add<T: TypedBuffer>(call: Call, x: View<'_, T>, y: View<'_, T>) -> Result<()> {
    call.float32_or_activations("y", y, y.len)?;
    x.check(call.op, "x", Some(y.buffer.dtype()), y.len)
}

impl Columns {
    /// Checks that a block of `width` columns lies in the `m` rows of a view.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    fn check<T: TypedBuffer>(self, op: &str, name: &str, m: usize, width: usize, view: View<'_, T>) -> Result<()> {
        let Self { stride, start } = self;
        if start.checked_add(width).is_none_or(|end| end > stride) {
            let got = format!("{width} from {start}");
            return Err(Error::argument(op, format!("columns of {name} inside {stride}"), got));
        }
        view.check(op, name, None, m * stride)
    }
}

/// Checks the arguments of [`Elementwise::copy_columns`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_copy_columns<T: TypedBuffer>(
    m: usize,
    width: usize,
    x: View<'_, T>,
    from: Columns,
    y: View<'_, T>,
    to: Columns,
) -> Result<()> {
    let op = "copy_columns";
    from.check(op, "x", m, width, x)?;
    to.check(op, "y", m, width, y)?;
    y.check(op, "y", Some(x.buffer.dtype()), y.len)
}

/// Checks the views of [`Elementwise::sum_rows`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_sum_rows<T: TypedBuffer>(call: Call, m: usize, n: usize, x: View<'_, T>, y: View<'_, T>) -> Result<()> {
    call.activations("x", x, m * n)?;
    call.float32("y", y, n)
}

/// The same in float64, written for reading.
pub mod reference {
    use super::Columns;

    /// `y` with a block of its columns replaced.
    pub fn copy_columns(m: usize, width: usize, x: &[f64], from: Columns, y: &[f64], to: Columns) -> Vec<f64> {
        let mut y = y.to_vec();
        for i in 0..m {
            for j in 0..width {
                y[i * to.stride + to.start + j] = x[i * from.stride + from.start + j];
            }
        }
        y
    }

    /// `x + y`.
    pub fn add(x: &[f64], y: &[f64]) -> Vec<f64> {
        x.iter().zip(y).map(|(a, b)| a + b).collect()
    }

    /// Sum of the rows of `x[m, n]`.
    pub fn sum_rows(n: usize, x: &[f64]) -> Vec<f64> {
        (0..n).map(|j| x.iter().skip(j).step_by(n.max(1)).sum()).collect()
    }
}
