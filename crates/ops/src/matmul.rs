//! `matmul`: products with a weight matrix stored `[n, k]` (out features, in features).

use crate::check::Call;
use crate::error::{Error, Result};
use crate::memory::{Host, Memory, TypedBuffer, View, ViewMut};

/// A weight matrix `[n, k]`: frozen in the backend's own layout, or trained as a plain row-major buffer.
#[derive(Debug)]
pub enum Matrix<'a, W, T> {
    /// Never receives a gradient; stored as the backend likes best.
    Frozen(&'a W),
    /// Row-major: float32, or the hidden states in activations, where rows are gathered from them.
    Trained(View<'a, T>),
}

impl<W, T> Clone for Matrix<'_, W, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<W, T> Copy for Matrix<'_, W, T> {}

impl<W, T: TypedBuffer> Matrix<'_, W, T> {
    /// Checks that the matrix is `[n, k]`, float32 where it is trained; `sizes` gives those of a frozen weight.
    ///
    /// # Errors
    /// `ArgumentInvalid` when it is not.
    pub fn check(self, call: Call, n: usize, k: usize, sizes: impl FnOnce(&W) -> (usize, usize)) -> Result<()> {
        match self {
            Self::Trained(view) => call.float32("w", view, n * k),
            Self::Frozen(weight) => check_weight(call.op, n, k, sizes(weight)),
        }
    }

    /// As [`Matrix::check`] where rows are gathered or measured: those of a trained matrix may be activations as well.
    ///
    /// # Errors
    /// `ArgumentInvalid` when it is not such a matrix.
    pub fn check_rows(self, call: Call, n: usize, k: usize, sizes: impl FnOnce(&W) -> (usize, usize)) -> Result<()> {
        match self {
            Self::Trained(view) => call.float32_or_activations("w", view, n * k),
            Self::Frozen(_) => self.check(call, n, k, sizes),
        }
    }
}

/// Checks that a frozen weight of `sizes` is `[n, k]`.
///
/// # Errors
/// `ArgumentInvalid` when it is not.
pub fn check_weight(op: &str, n: usize, k: usize, sizes: (usize, usize)) -> Result<()> {
    if sizes == (n, k) {
        return Ok(());
    }
    Err(Error::argument(op, format!("a weight of {n} × {k}"), format!("{} × {}", sizes.0, sizes.1)))
}

/// How a frozen weight is held. Arithmetic is float32 on the CPU whatever the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Four bytes a weight.
    F32,
    /// Two bytes a weight, rounded to nearest even.
    Bf16,
}

/// Sizes of `y[m, n] = x[m, k] · w[n, k]ᵀ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatmulShape {
    /// Rows of the activations (tokens).
    pub m: usize,
    /// Out features.
    pub n: usize,
    /// In features.
    pub k: usize,
}

/// Products with a weight. Each output element is a sum of chains of fused multiply-adds, each chain over a block of the
/// reduced axis that its length alone decides, the chains added in index order: the bits depend neither on `m`, nor on the
/// row's place, nor on the number of threads, and a sum over a vocabulary does not lose its small terms.
///
/// Activations in bf16 ask for weights in bf16, whatever the storage says: a trained matrix is rounded for the product. The
/// gradient of a weight is float32.
///
/// Tolerance f32: 2e-6 · √k relative to the largest output, forward and backward alike; bf16: 4e-3, gradients of weights as f32.
/// Edge sizes: 0, 1, 13, 14, 15, 31, 32, 33, 127, 257 in each of m, n, k.
pub trait Matmul: Memory {
    /// A frozen weight in the backend's layout.
    type Weight: Send + Sync;

    /// Takes a row-major `[n, k]` matrix from the host. Never holds more than the source and the result.
    ///
    /// # Errors
    /// `ArgumentInvalid` when `host` is not `n·k` long, `OutOfMemory`.
    fn prepare_weight(&self, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Self::Weight>;

    /// Copies rows `first .. first + rows` of a frozen weight back, row-major float32.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the rows do not exist or `target` is not `rows·k` long.
    fn read_weight(&self, weight: &Self::Weight, first: usize, rows: usize, target: &mut [f32]) -> Result<()>;

    /// `y[m, n] = x[m, k] · w[n, k]ᵀ (+ bias[n])`; writes.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn matmul_forward(
        &self,
        shape: MatmulShape,
        x: View<'_, Self::Buffer>,
        w: Matrix<'_, Self::Weight, Self::Buffer>,
        bias: Option<View<'_, Self::Buffer>>,
        y: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `dx[m, k] = dy[m, n] · w[n, k]`; writes, or accumulates when `accumulate`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn matmul_backward_input(
        &self,
        shape: MatmulShape,
        dy: View<'_, Self::Buffer>,
        w: Matrix<'_, Self::Weight, Self::Buffer>,
        dx: ViewMut<'_, Self::Buffer>,
        accumulate: bool,
    ) -> Result<()>;

    /// `dw[n, k] += dy[m, n]ᵀ · x[m, k]`; accumulates. Rows in fixed chunks of 256 combined in index order.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn matmul_backward_weight(
        &self,
        shape: MatmulShape,
        dy: View<'_, Self::Buffer>,
        x: View<'_, Self::Buffer>,
        dw: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}

impl MatmulShape {
    /// Checks the views of [`Matmul::matmul_forward`], but for the weight.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_forward<T: TypedBuffer>(
        self,
        call: Call,
        x: View<'_, T>,
        bias: Option<View<'_, T>>,
        y: View<'_, T>,
    ) -> Result<()> {
        let Self { m, n, k } = self;
        call.activations("x", x, m * k)?;
        call.float32_if_given("bias", bias, n)?;
        call.activations("y", y, m * n)
    }

    /// Checks the views of [`Matmul::matmul_backward_input`], but for the weight.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_backward_input<T: TypedBuffer>(self, call: Call, dy: View<'_, T>, dx: View<'_, T>) -> Result<()> {
        let Self { m, n, k } = self;
        call.activations("dy", dy, m * n)?;
        call.activations("dx", dx, m * k)
    }

    /// Checks the views of [`Matmul::matmul_backward_weight`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_backward_weight<T: TypedBuffer>(
        self,
        call: Call,
        dy: View<'_, T>,
        x: View<'_, T>,
        dw: View<'_, T>,
    ) -> Result<()> {
        let Self { m, n, k } = self;
        call.activations("dy", dy, m * n)?;
        call.activations("x", x, m * k)?;
        call.float32("dw", dw, n * k)
    }
}

/// Checks that a host matrix given as a frozen weight is `[n, k]` and floating-point. `holds` says whether the backend keeps
/// values: one that does not is given none.
///
/// # Errors
/// `ArgumentInvalid` when it is not.
pub fn check_host(n: usize, k: usize, host: Host<'_>, holds: bool) -> Result<()> {
    let op = "prepare_weight";
    if n.checked_mul(k).is_none_or(|len| holds && len != host.len()) {
        return Err(Error::argument(op, format!("{n} · {k} elements"), host.len()));
    }
    if let Host::I32(_) | Host::U8(_) = host {
        return Err(Error::argument(op, "floating-point numbers", host.dtype()));
    }
    Ok(())
}

/// Checks a call of [`Matmul::read_weight`] on a weight `[n, k]`.
///
/// # Errors
/// `ArgumentInvalid` when the rows do not exist or the target is not `rows · k` long.
pub fn check_read((n, k): (usize, usize), first: usize, rows: usize, target: usize) -> Result<()> {
    let op = "read_weight";
    if first.checked_add(rows).is_none_or(|end| end > n) {
        return Err(Error::argument(op, format!("rows inside {n}"), format!("{rows} from {first}")));
    }
    if target != rows * k {
        return Err(Error::argument(op, format!("{} elements", rows * k), target));
    }
    Ok(())
}

/// The same in float64, written for reading.
pub mod reference {
    use super::MatmulShape;

    /// `y[m, n]`.
    pub fn forward(shape: MatmulShape, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
        let MatmulShape { m, n, k } = shape;
        let mut y = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                let mut sum = bias.map_or(0.0, |bias| bias[j]);
                for l in 0..k {
                    sum += x[i * k + l] * w[j * k + l];
                }
                y[i * n + j] = sum;
            }
        }
        y
    }

    /// `dx[m, k]`.
    pub fn backward_input(shape: MatmulShape, dy: &[f64], w: &[f64]) -> Vec<f64> {
        let MatmulShape { m, n, k } = shape;
        let mut dx = vec![0.0; m * k];
        for i in 0..m {
            for j in 0..n {
                for l in 0..k {
                    dx[i * k + l] += dy[i * n + j] * w[j * k + l];
                }
            }
        }
        dx
    }

    /// `dw[n, k]`.
    pub fn backward_weight(shape: MatmulShape, dy: &[f64], x: &[f64]) -> Vec<f64> {
        let MatmulShape { m, n, k } = shape;
        let mut dw = vec![0.0; n * k];
        for i in 0..m {
            for j in 0..n {
                for l in 0..k {
                    dw[j * k + l] += dy[i * n + j] * x[i * k + l];
                }
            }
        }
        dw
    }
}
