//! `dora`: the parts of a weight-decomposed adapter that are no plain product.

use crate::check::Call;
use crate::error::Result;
use crate::lora_matmul::Lora;
use crate::matmul::{Matmul, Matrix};
use crate::memory::{TypedBuffer, View, ViewMut};

/// Weight-Decomposed Low-Rank Adaptation (Liu et al. 2024, arXiv:2402.09353): the adapted weight `V = w + s · B A` is scaled
/// row by row to a trained magnitude, `y = (magnitude / norms) ∘ u + bias` with `u = x Vᵀ` (`lora_forward` without a bias)
/// and `norms[j] = ‖V[j]‖₂`. The norms are computed again in each forward and are constants in backward (the paper's section
/// 4.3, and PEFT). A row of norm 0 is scaled by 0 and gives its magnitude no gradient.
///
/// Letters: `m` rows (tokens), `n` out features, `k` in features. Forward saves `u` and `norms`. Tolerance f32: norms 2e-6,
/// forward 2e-6, backward 2e-6 · √k relative to the largest output; activations in bf16: 4e-3. Edge sizes: 1, 31, 32, 33, 257 in each of m, n, k, with r
/// in 1, 8, 17; every storage of `w`.
pub trait Dora: Matmul {
    /// `norms[n] = ‖w[j] + s · (B A)[j]‖₂`; writes. Sums over `k` in float64 or in chains as short as those of `matmul`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn dora_norms(
        &self,
        n: usize,
        k: usize,
        w: Matrix<'_, Self::Weight, Self::Buffer>,
        lora: Lora<'_, Self::Buffer>,
        norms: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `y[i, j] = (magnitude[j] / norms[j]) · u[i, j] (+ bias[j])`; writes, or accumulates when `accumulate`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn dora_forward(
        &self,
        m: usize,
        n: usize,
        u: View<'_, Self::Buffer>,
        magnitude: View<'_, Self::Buffer>,
        norms: View<'_, Self::Buffer>,
        bias: Option<View<'_, Self::Buffer>>,
        y: ViewMut<'_, Self::Buffer>,
        accumulate: bool,
    ) -> Result<()>;

    /// `du[i, j] = (magnitude[j] / norms[j]) · dy[i, j]` (written) and
    /// `dmagnitude[j] += (1 / norms[j]) · Σ over i of dy[i, j] · u[i, j]`, in fixed chunks of 256 rows combined in index order.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn dora_backward(
        &self,
        m: usize,
        n: usize,
        dy: View<'_, Self::Buffer>,
        u: View<'_, Self::Buffer>,
        magnitude: View<'_, Self::Buffer>,
        norms: View<'_, Self::Buffer>,
        du: ViewMut<'_, Self::Buffer>,
        dmagnitude: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}

/// Checks the views of [`Dora::dora_norms`], but for the weight.
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_norms<T: TypedBuffer>(
    call: Call,
    n: usize,
    k: usize,
    lora: Lora<'_, T>,
    norms: View<'_, T>,
) -> Result<()> {
    lora.check(call, n, k)?;
    call.float32("norms", norms, n)
}

/// Checks the views of [`Dora::dora_forward`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_forward<T: TypedBuffer>(
    call: Call,
    m: usize,
    n: usize,
    u: View<'_, T>,
    magnitude: View<'_, T>,
    norms: View<'_, T>,
    bias: Option<View<'_, T>>,
    y: View<'_, T>,
) -> Result<()> {
    call.activations("u", u, m * n)?;
    call.float32("magnitude", magnitude, n)?;
    call.float32("norms", norms, n)?;
    call.float32_if_given("bias", bias, n)?;
    call.activations("y", y, m * n)
}

/// Checks the views of [`Dora::dora_backward`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_backward<T: TypedBuffer>(
    call: Call,
    m: usize,
    n: usize,
    dy: View<'_, T>,
    u: View<'_, T>,
    magnitude: View<'_, T>,
    norms: View<'_, T>,
    du: View<'_, T>,
    dmagnitude: View<'_, T>,
) -> Result<()> {
    call.activations("dy", dy, m * n)?;
    call.activations("u", u, m * n)?;
    call.float32("magnitude", magnitude, n)?;
    call.float32("norms", norms, n)?;
    call.activations("du", du, m * n)?;
    call.float32("dmagnitude", dmagnitude, n)
}

/// The same in float64, written for reading.
pub mod reference {
    use crate::lora_matmul::reference::Adapter;

    /// `norms[n]`.
    pub fn norms(k: usize, w: &[f64], adapter: Adapter<'_>) -> Vec<f64> {
        let Adapter { r, a, b, scale } = adapter;
        let low = |j: usize, l: usize| (0..r).map(|c| b[j * r + c] * a[c * k + l]).sum::<f64>();
        let square = |j: usize, l: usize| (w[j * k + l] + scale * low(j, l)).powi(2);
        (0..b.len() / r).map(|j| (0..k).map(|l| square(j, l)).sum::<f64>().sqrt()).collect()
    }

    /// `y[m, n]`.
    pub fn forward(u: &[f64], magnitude: &[f64], norms: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
        let n = magnitude.len();
        let value = |(i, u): (usize, &f64)| magnitude[i % n] / norms[i % n] * u + bias.map_or(0.0, |bias| bias[i % n]);
        u.iter().enumerate().map(value).collect()
    }

    /// `du[m, n]` and `dmagnitude[n]`.
    pub fn backward(dy: &[f64], u: &[f64], magnitude: &[f64], norms: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = magnitude.len();
        let mut dmagnitude = vec![0.0; n];
        for (i, (dy, u)) in dy.iter().zip(u).enumerate() {
            dmagnitude[i % n] += dy * u / norms[i % n];
        }
        let du = dy.iter().enumerate().map(|(i, dy)| magnitude[i % n] / norms[i % n] * dy);
        (du.collect(), dmagnitude)
    }
}
