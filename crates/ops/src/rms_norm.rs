//! `rms_norm`: root mean square normalisation of rows.

use crate::check::Call;
use crate::error::Result;
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

/// Sizes and constants of a normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormShape {
    /// Rows.
    pub m: usize,
    /// Row length.
    pub d: usize,
    /// Added to the mean of squares.
    pub eps: f32,
    /// Added to the scale: 1 in families that store `scale − 1` (Gemma), else 0.
    pub offset: f32,
}

/// RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467): `y[m, d] = x[m, d] · rstd[m] · (offset + scale[d])`,
/// `rstd = 1 / √(mean of x² + eps)`. With `m` = tokens · heads and `d` = head size it is QK-norm.
///
/// Forward saves `rstd`, f32 whatever the activations are; the scale is f32 too. Tolerance f32: forward 2e-6, backward 1e-5
/// relative to the largest output; bf16: 4e-3. Edge sizes: d in 1, 15, 16, 17, 64, 576, 4099; m in 0, 1, 257; one row of zeros;
/// offset 0, 1; one row of 16,408, longer than any block keeps.
///
/// In a decoder a norm follows an addition to the residual stream. Forward the two are one op, `rms_norm_add_forward`, with
/// the bits of [`add`](crate::Elementwise::add) and `rms_norm_forward`; backward they are `rms_norm_backward` that accumulates,
/// since the gradient of a sum is that of both of its terms: `dx` is the residual stream's gradient.
pub trait RmsNorm: Memory {
    /// Writes `y` and `rstd[m]`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn rms_norm_forward(
        &self,
        shape: NormShape,
        x: View<'_, Self::Buffer>,
        scale: View<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
        rstd: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `sum[m, d] += x[m, d]`, rounded to the dtype of activations; then `y` and `rstd[m]` of the sum, all written.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn rms_norm_add_forward(
        &self,
        shape: NormShape,
        x: View<'_, Self::Buffer>,
        sum: ViewMut<'_, Self::Buffer>,
        scale: View<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
        rstd: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `dx = rstd · (s·dy − x · rstd² · mean(s·dy·x))` with `s = offset + scale`, written, or accumulated when `accumulate`;
    /// `dscale[d] += Σ dy · x · rstd` where given (fixed chunks of 256 rows in index order).
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn rms_norm_backward(
        &self,
        shape: NormShape,
        dy: View<'_, Self::Buffer>,
        x: View<'_, Self::Buffer>,
        scale: View<'_, Self::Buffer>,
        rstd: View<'_, Self::Buffer>,
        dx: ViewMut<'_, Self::Buffer>,
        accumulate: bool,
        dscale: Option<ViewMut<'_, Self::Buffer>>,
    ) -> Result<()>;
}

impl NormShape {
    /// Checks the views of [`RmsNorm::rms_norm_forward`], and of [`RmsNorm::rms_norm_add_forward`] where `sum` is given.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_forward<T: TypedBuffer>(
        self,
        call: Call,
        x: View<'_, T>,
        sum: Option<View<'_, T>>,
        scale: View<'_, T>,
        y: View<'_, T>,
        rstd: View<'_, T>,
    ) -> Result<()> {
        let Self { m, d, .. } = self;
        call.activations("x", x, m * d)?;
        sum.map_or(Ok(()), |sum| call.activations("sum", sum, m * d))?;
        call.float32("scale", scale, d)?;
        call.activations("y", y, m * d)?;
        call.float32("rstd", rstd, m)
    }

    /// Checks the views of [`RmsNorm::rms_norm_backward`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_backward<T: TypedBuffer>(
        self,
        call: Call,
        dy: View<'_, T>,
        x: View<'_, T>,
        scale: View<'_, T>,
        rstd: View<'_, T>,
        dx: View<'_, T>,
        dscale: Option<View<'_, T>>,
    ) -> Result<()> {
        let Self { m, d, .. } = self;
        call.activations("dy", dy, m * d)?;
        call.activations("x", x, m * d)?;
        call.float32("scale", scale, d)?;
        call.float32("rstd", rstd, m)?;
        call.activations("dx", dx, m * d)?;
        call.float32_if_given("dscale", dscale, d)
    }
}

/// The same in float64, written for reading.
pub mod reference {
    /// `y` and `rstd`, for the scale with its offset.
    pub fn forward(eps: f64, x: &[f64], scale: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let d = scale.len();
        let (mut y, mut rstds) = (Vec::new(), Vec::new());
        for row in x.chunks(d) {
            let mean = row.iter().map(|v| v * v).sum::<f64>() / d as f64;
            let rstd = 1.0 / (mean + eps).sqrt();
            y.extend(row.iter().zip(scale).map(|(x, s)| x * rstd * s));
            rstds.push(rstd);
        }
        (y, rstds)
    }

    /// `dx` and `dscale`, for the scale with its offset.
    pub fn backward(dy: &[f64], x: &[f64], scale: &[f64], rstd: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let d = scale.len();
        let (mut dx, mut dscale) = (Vec::new(), vec![0.0; d]);
        for ((dy, x), &rstd) in dy.chunks(d).zip(x.chunks(d)).zip(rstd) {
            let mean = (0..d).map(|j| scale[j] * dy[j] * x[j]).sum::<f64>() / d as f64;
            for j in 0..d {
                dx.push(rstd * (scale[j] * dy[j] - x[j] * rstd * rstd * mean));
                dscale[j] += dy[j] * x[j] * rstd;
            }
        }
        (dx, dscale)
    }
}
