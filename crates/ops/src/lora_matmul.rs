//! `lora_matmul`: a frozen product plus a low-rank adapter.

use crate::check::Call;
use crate::error::Result;
use crate::matmul::{Matmul, MatmulShape, Matrix};
use crate::memory::{TypedBuffer, View, ViewMut};

/// An adapter `s · B A` of rank `r` on a weight `[n, k]`.
#[derive(Debug)]
pub struct Lora<'a, T> {
    /// Rank.
    pub r: usize,
    /// `A[r, k]`, row-major float32.
    pub a: View<'a, T>,
    /// `B[n, r]`, row-major float32.
    pub b: View<'a, T>,
    /// `s`: alpha / r, or alpha / √r (rsLoRA).
    pub scale: f32,
}

impl<T> Clone for Lora<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Lora<'_, T> {}

impl<T: TypedBuffer> Lora<'_, T> {
    /// Checks that the adapter belongs to a weight `[n, k]`.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check(self, call: Call, n: usize, k: usize) -> Result<()> {
        call.float32("A", self.a, self.r * k)?;
        call.float32("B", self.b, n * self.r)
    }

    /// Checks the views of [`LoraMatmul::lora_forward`], but for the weight.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_forward(
        self,
        call: Call,
        shape: MatmulShape,
        x: View<'_, T>,
        dropped: Option<View<'_, T>>,
        bias: Option<View<'_, T>>,
        xa: View<'_, T>,
        y: View<'_, T>,
    ) -> Result<()> {
        let MatmulShape { m, n, k } = shape;
        call.activations("x", x, m * k)?;
        dropped.map_or(Ok(()), |dropped| call.activations("dropped", dropped, m * k))?;
        call.float32_if_given("bias", bias, n)?;
        self.check(call, n, k)?;
        call.activations("xa", xa, m * self.r)?;
        call.activations("y", y, m * n)
    }

    /// Checks the views of [`LoraMatmul::lora_backward`], but for the weight.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_backward(
        self,
        call: Call,
        shape: MatmulShape,
        [dy, x, xa]: [View<'_, T>; 3],
        [dyb, da, db]: [View<'_, T>; 3],
        dx: Option<View<'_, T>>,
    ) -> Result<()> {
        let (MatmulShape { m, n, k }, r) = (shape, self.r);
        call.activations("dy", dy, m * n)?;
        call.activations("x", x, m * k)?;
        call.activations("xa", xa, m * r)?;
        self.check(call, n, k)?;
        call.activations("dyb", dyb, m * r)?;
        call.float32("da", da, r * k)?;
        call.float32("db", db, n * r)?;
        dx.map_or(Ok(()), |dx| call.activations("dx", dx, m * k))
    }
}

/// Low-Rank Adaptation (Hu et al. 2021, arXiv:2106.09685), forward and backward of one adapted linear layer.
///
/// Forward saves `xa[m, r]`. Backward of the adapter alone never forms a gradient of the weight. `A` may be given other rows
/// than the weight: the same ones after [`crate::Dropout`].
/// Tolerance: as `matmul`, each output against what the saved ones before it give. In bf16 `y` and `dx` may be rounded
/// twice: 8e-3. Edge sizes: those of `matmul` with r in 1, 2, 8, 16, 17, 64.
pub trait LoraMatmul: Matmul {
    /// `xa = z Aᵀ` and `y = x wᵀ (+ bias) + s · xa Bᵀ`; writes both. `z[m, k]` is `dropped` where that is given, else `x`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn lora_forward(
        &self,
        shape: MatmulShape,
        x: View<'_, Self::Buffer>,
        dropped: Option<View<'_, Self::Buffer>>,
        w: Matrix<'_, Self::Weight, Self::Buffer>,
        bias: Option<View<'_, Self::Buffer>>,
        lora: Lora<'_, Self::Buffer>,
        xa: ViewMut<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `dyb[m, r] = s · dy B` (written, scratch), `db[n, r] += s · dyᵀ xa`, `da[r, k] += dybᵀ x`, and, where `dx` is
    /// given, `dx = dy w + dyb A` (written, or accumulated when `accumulate`). Token sums run over fixed chunks of 256
    /// rows combined in index order. `x` is what `A` was given. Where that was dropped, `dx` is not asked for: the two ways
    /// back to `x` differ, and the caller adds them.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn lora_backward(
        &self,
        shape: MatmulShape,
        dy: View<'_, Self::Buffer>,
        x: View<'_, Self::Buffer>,
        xa: View<'_, Self::Buffer>,
        w: Matrix<'_, Self::Weight, Self::Buffer>,
        lora: Lora<'_, Self::Buffer>,
        dyb: ViewMut<'_, Self::Buffer>,
        da: ViewMut<'_, Self::Buffer>,
        db: ViewMut<'_, Self::Buffer>,
        dx: Option<ViewMut<'_, Self::Buffer>>,
        accumulate: bool,
    ) -> Result<()>;
}

/// The same in float64, written for reading: the adapter as two products added to the frozen one.
pub mod reference {
    use crate::matmul::{MatmulShape, reference as matmul};

    /// An adapter in float64.
    #[derive(Debug, Clone, Copy)]
    pub struct Adapter<'a> {
        /// Rank.
        pub r: usize,
        /// `A[r, k]`.
        pub a: &'a [f64],
        /// `B[n, r]`.
        pub b: &'a [f64],
        /// `s`.
        pub scale: f64,
    }

    /// What a backward pass gives.
    #[derive(Debug, Clone)]
    pub struct Gradients {
        /// `s · dy B`.
        pub dyb: Vec<f64>,
        /// Gradient of `A`.
        pub da: Vec<f64>,
        /// Gradient of `B`.
        pub db: Vec<f64>,
        /// Gradient of `x`.
        pub dx: Vec<f64>,
    }

    fn scaled(x: &[f64], factor: f64) -> Vec<f64> {
        x.iter().map(|v| v * factor).collect()
    }

    fn sum(x: &[f64], y: &[f64]) -> Vec<f64> {
        x.iter().zip(y).map(|(a, b)| a + b).collect()
    }

    /// `xa` and `y`.
    pub fn forward(
        shape: MatmulShape,
        x: &[f64],
        dropped: Option<&[f64]>,
        w: &[f64],
        bias: Option<&[f64]>,
        adapter: Adapter<'_>,
    ) -> (Vec<f64>, Vec<f64>) {
        let MatmulShape { m, k, .. } = shape;
        let xa = matmul::forward(MatmulShape { m, n: adapter.r, k }, dropped.unwrap_or(x), adapter.a, None);
        let y = output(shape, x, &xa, w, bias, adapter);
        (xa, y)
    }

    /// `y` of a given `xa`: the one that a backend rounded.
    pub fn output(
        shape: MatmulShape,
        x: &[f64],
        xa: &[f64],
        w: &[f64],
        bias: Option<&[f64]>,
        adapter: Adapter<'_>,
    ) -> Vec<f64> {
        let MatmulShape { m, n, .. } = shape;
        let low = matmul::forward(MatmulShape { m, n, k: adapter.r }, xa, adapter.b, None);
        sum(&matmul::forward(shape, x, w, bias), &scaled(&low, adapter.scale))
    }

    /// All gradients.
    pub fn backward(
        shape: MatmulShape,
        dy: &[f64],
        x: &[f64],
        xa: &[f64],
        w: &[f64],
        adapter: Adapter<'_>,
    ) -> Gradients {
        let MatmulShape { m, n, .. } = shape;
        let up = MatmulShape { m, n, k: adapter.r };
        let dyb = scaled(&matmul::backward_input(up, dy, adapter.b), adapter.scale);
        gradients(shape, dy, x, xa, dyb, w, adapter)
    }

    /// All gradients of a given `dyb`: the one that a backend rounded.
    pub fn gradients(
        shape: MatmulShape,
        dy: &[f64],
        x: &[f64],
        xa: &[f64],
        dyb: Vec<f64>,
        w: &[f64],
        adapter: Adapter<'_>,
    ) -> Gradients {
        let MatmulShape { m, n, k } = shape;
        let Adapter { r, a, scale, .. } = adapter;
        let (down, up) = (MatmulShape { m, n: r, k }, MatmulShape { m, n, k: r });
        Gradients {
            da: matmul::backward_weight(down, &dyb, x),
            db: scaled(&matmul::backward_weight(up, dy, xa), scale),
            dx: sum(&matmul::backward_input(shape, dy, w), &matmul::backward_input(down, &dyb, a)),
            dyb,
        }
    }
}
