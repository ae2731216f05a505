//! `muon`: one step along an orthogonalised momentum, over many matrices.

use crate::check::Call;
use crate::dtype::DType;
use crate::error::Result;
use crate::grad_norm::GradNorm;
use crate::memory::{TypedBuffer, View, ViewMut};

/// The constants of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MuonStep {
    /// What is kept of the momentum.
    pub momentum: f64,
    /// The step looks ahead along the momentum.
    pub nesterov: bool,
    /// Coefficients a, b, c of an iteration.
    pub coefficients: [f64; 3],
    /// Number of iterations.
    pub iterations: usize,
    /// The least norm that a direction is divided by.
    pub epsilon: f64,
}

/// One trained matrix, or a stack of them, with its momentum; float32.
#[derive(Debug)]
pub struct MuonTensor<'a, T> {
    /// The parameter, updated in place.
    pub parameter: ViewMut<'a, T>,
    /// Summed gradient.
    pub gradient: View<'a, T>,
    /// Momentum, updated in place; zeros before the first step.
    pub momentum_buffer: ViewMut<'a, T>,
    /// Matrices, rows and columns of each: `[e, n, k]`.
    pub shape: [usize; 3],
    /// Learning rate of the direction.
    pub learning_rate: f64,
    /// What decoupled decay takes of the parameter: learning rate · weight decay.
    pub decay: f64,
}

/// What a call works in, which is not kept.
#[derive(Debug)]
pub struct MuonWorkspace<'a, T> {
    /// Activations, as many as [`workspace`] says.
    pub activations: ViewMut<'a, T>,
    /// float32, as many as [`workspace`] says.
    pub floats: ViewMut<'a, T>,
}

/// Activations and float32 numbers that matrices of these shapes need: direction and Gram matrix, and their products.
pub fn workspace(shapes: impl IntoIterator<Item = [usize; 3]>) -> [usize; 2] {
    shapes.into_iter().fold([0; 2], |[activations, floats], [_, n, k]| {
        let short = n.min(k);
        [activations.max(n * k + short * short), floats.max(n * k)]
    })
}

/// Checks the views of a call.
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check<T: TypedBuffer>(
    call: Call,
    tensors: &[MuonTensor<'_, T>],
    workspace: &MuonWorkspace<'_, T>,
) -> Result<()> {
    for tensor in tensors {
        let len = tensor.shape.iter().product();
        call.float32("parameter", tensor.parameter.as_view(), len)?;
        call.float32("gradient", tensor.gradient, len)?;
        call.float32("momentum buffer", tensor.momentum_buffer.as_view(), len)?;
    }
    let [activations, floats] = self::workspace(tensors.iter().map(|tensor| tensor.shape));
    call.activations("workspace", workspace.activations.as_view(), activations)?;
    workspace.floats.as_view().check(call.op, "workspace", Some(DType::F32), floats)
}

/// Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) as `torch.optim.Muon` computes it: `m ← m + (1 − μ)(g − m)`; the direction
/// is `g + μ (m − g)` with Nesterov, else `m`; `X = direction / max(‖direction‖, ε)`, turned so that it is no taller than wide; as often
/// as asked for `G = X Xᵀ`, `H = b G + c G G`, `X ← a X + H X`; `p ← p (1 − decay) − η X`.
///
/// The direction, its norm, X, G and H are rounded to bfloat16 wherever they are made, on every backend: what comes before each rounding
/// is float32.
///
/// Tolerance f32 and bf16: the momentum 1e-6 relative; the root mean square of the parameter's error 6e-3 of that of its change: a sum of
/// another order now and then falls to the other side of a rounding, and an iteration makes small singular values 3.4 times as large.
/// Trajectories of torch hold it to 1e-5. Edge sizes: no element; matrices of 1, 2, 16, 33 and 257 rows by 1, 3, 16, 40 and 300 columns,
/// stacks of two and three.
pub trait Muon: GradNorm {
    /// Takes a step with every matrix, each gradient multiplied with the factor of `norm` first. Changes nothing when the norm is not
    /// finite. What the workspace holds before and after has no meaning.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit.
    fn muon(
        &self,
        step: &MuonStep,
        norm: &Self::Norm,
        tensors: &mut [MuonTensor<'_, Self::Buffer>],
        workspace: MuonWorkspace<'_, Self::Buffer>,
    ) -> Result<()>;
}

/// A finite number rounded to the nearest bfloat16, ties to even.
#[inline]
pub fn rounded(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// The same in float64, written for reading; roundings as the contract has them.
pub mod reference {
    use super::{MuonStep, rounded};

    /// One tensor with its momentum.
    #[derive(Debug, Clone)]
    pub struct Tensor {
        /// The parameter.
        pub parameter: Vec<f64>,
        /// Summed gradient.
        pub gradient: Vec<f64>,
        /// Momentum.
        pub momentum_buffer: Vec<f64>,
        /// Matrices, rows, columns.
        pub shape: [usize; 3],
        /// Learning rate of the direction.
        pub learning_rate: f64,
        /// What decay takes of the parameter.
        pub decay: f64,
    }

    fn round(x: f64) -> f64 {
        f64::from(rounded(x as f32))
    }

    /// `a[m, k] · b[k, n]`
    fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
        let element = |at: usize| (0..k).map(|l| a[at / n * k + l] * b[l * n + at % n]).sum();
        (0..m * n).map(element).collect()
    }

    fn transposed(x: &[f64], rows: usize, columns: usize) -> Vec<f64> {
        (0..x.len()).map(|at| x[at % rows * columns + at / rows]).collect()
    }

    /// A direction `[n, k]` with singular values near 1.
    pub fn orthogonalized(step: &MuonStep, direction: &[f64], n: usize, k: usize) -> Vec<f64> {
        if n > k {
            return transposed(&orthogonalized(step, &transposed(direction, n, k), k, n), k, n);
        }
        let mut x: Vec<f64> = direction.iter().copied().map(round).collect();
        let norm = round(x.iter().map(|x| x * x).sum::<f64>().sqrt()).max(round(step.epsilon));
        x.iter_mut().for_each(|x| *x = round(*x / norm));
        let [a, b, c] = step.coefficients;
        let sum = |p: f64, x: Vec<f64>, q: f64, y: Vec<f64>| -> Vec<f64> {
            x.into_iter().zip(y).map(|(x, y)| round(p * x + q * y)).collect()
        };
        for _ in 0..step.iterations {
            let gram: Vec<f64> = product(&x, &transposed(&x, n, k), [n, k, n]).into_iter().map(round).collect();
            let square = product(&gram, &gram, [n; 3]);
            let polynomial = sum(b, gram, c, square);
            let moved = product(&polynomial, &x, [n, n, k]);
            x = sum(a, x, 1.0, moved);
        }
        x
    }

    /// Steps one tensor in place, its gradient multiplied with `factor` first.
    pub fn muon(step: &MuonStep, factor: f64, tensor: &mut Tensor) {
        let [_, n, k] = tensor.shape;
        let mut direction = Vec::new();
        for (gradient, m) in tensor.gradient.iter().zip(&mut tensor.momentum_buffer) {
            let g = gradient * factor;
            *m += (1.0 - step.momentum) * (g - *m);
            direction.push(if step.nesterov { g + step.momentum * (*m - g) } else { *m });
        }
        let matrices = direction.chunks(usize::max(n * k, 1));
        let along: Vec<f64> = matrices.flat_map(|matrix| orthogonalized(step, matrix, n, k)).collect();
        for (p, along) in tensor.parameter.iter_mut().zip(along) {
            *p = *p * (1.0 - tensor.decay) - tensor.learning_rate * along;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MuonStep, reference, rounded};

    #[test]
    fn a_number_is_rounded_to_the_nearest_of_eight_bits_and_ties_to_even() {
        for (x, want) in [(1.0, 1.0), (1.003, 1.0), (1.005, 1.007_812_5), (-3.1, -3.093_75), (0.0, 0.0)] {
            assert_eq!(rounded(x).to_bits(), f32::to_bits(want), "{x}");
        }
        // Halfway between two of them, the one whose last bit is 0.
        let halfway = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0].map(|x| rounded(x).to_bits());
        assert_eq!(halfway, [1.0_f32, 1.0 + 4.0 / 256.0].map(f32::to_bits));
    }

    // A direction of known singular values: they end near 1, wherever they began.
    #[test]
    fn singular_values_end_near_one() {
        let step = MuonStep {
            momentum: 0.95,
            nesterov: true,
            coefficients: [3.4445, -4.775, 2.0315],
            iterations: 5,
            epsilon: 1e-7,
        };
        let direction = [3.0, 0.0, 0.0, 0.0, -0.5, 0.0];
        let end = reference::orthogonalized(&step, &direction, 2, 3);
        assert!((0.6..1.3).contains(&end[0]) && (0.6..1.3).contains(&-end[4]), "{end:?}");
        assert!([1, 2, 3, 5].iter().all(|&at| end[at].abs() < 1e-6), "{end:?}");
    }
}
