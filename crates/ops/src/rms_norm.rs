//! `rms_norm`: root mean square normalisation of rows.

use crate::error::Result;
use crate::memory::{Memory, View, ViewMut};

/// RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467): `y[m, d] = x[m, d] · rstd[m] · scale[d]`,
/// `rstd = 1 / √(mean of x² + eps)`. With `m` = tokens · heads and `d` = head size it is QK-norm.
///
/// Forward saves `rstd`. Tolerance f32: forward 2e-6, backward 1e-5 relative to the largest output.
/// Edge sizes: d in 1, 15, 16, 17, 576, 4099; m in 0, 1, 257; one row of zeros.
pub trait RmsNorm: Memory {
    /// Writes `y` and `rstd[m]`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a window does not fit the shape.
    fn rms_norm_forward(
        &self,
        m: usize,
        d: usize,
        eps: f32,
        x: View<'_, Self::Buffer>,
        scale: View<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
        rstd: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `dx = rstd · (scale·dy − x · rstd² · mean(scale·dy·x))`, written, or accumulated when `accumulate`;
    /// `dscale[d] += Σ dy · x · rstd` where given (fixed chunks of 256 rows in index order).
    ///
    /// # Errors
    /// `ArgumentInvalid` when a window does not fit the shape.
    fn rms_norm_backward(
        &self,
        m: usize,
        d: usize,
        dy: View<'_, Self::Buffer>,
        x: View<'_, Self::Buffer>,
        scale: View<'_, Self::Buffer>,
        rstd: View<'_, Self::Buffer>,
        dx: ViewMut<'_, Self::Buffer>,
        accumulate: bool,
        dscale: Option<ViewMut<'_, Self::Buffer>>,
    ) -> Result<()>;
}
