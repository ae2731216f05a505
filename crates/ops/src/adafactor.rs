//! `adafactor`: one step with second moments that are held by row and by column, over many tensors.

use crate::check::Call;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grad_norm::GradNorm;
use crate::memory::{TypedBuffer, View, ViewMut};

/// The constants of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdafactorStep {
    /// Number of the step, from 1.
    pub step: u64,
    /// Power of the step's number in what the second moments take of a square; below 0.
    pub decay_rate: f64,
    /// Added to every square, and the least scale of a parameter.
    pub epsilon: [f64; 2],
    /// Largest root mean square of an update.
    pub clip_threshold: f64,
    /// What is kept of the first moment; none: there is none.
    pub beta1: Option<f64>,
    /// Rates are multiplied with the root mean square of the parameter.
    pub scale_parameter: bool,
}

/// One trained tensor with its moments; float32.
#[derive(Debug)]
pub struct AdafactorTensor<'a, T> {
    /// The parameter, updated in place.
    pub parameter: ViewMut<'a, T>,
    /// Summed gradient.
    pub gradient: View<'a, T>,
    /// Matrices, rows and columns of each: `[e, n, k]`. A vector is one row of one matrix.
    pub shape: [usize; 3],
    /// Second moments of the rows, `[e, n]`, updated in place; none: those of the columns are those of the elements, of a single row.
    pub row_moment: Option<ViewMut<'a, T>>,
    /// Second moments of the columns, `[e, k]`, updated in place.
    pub column_moment: ViewMut<'a, T>,
    /// First moment, updated in place, where the step has one.
    pub first_moment: Option<ViewMut<'a, T>>,
    /// Learning rate of the tensor's group.
    pub learning_rate: f64,
    /// Decoupled weight decay of the tensor's group.
    pub weight_decay: f64,
}

impl<T: TypedBuffer> AdafactorTensor<'_, T> {
    /// Checks the views for a step.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check(&self, step: &AdafactorStep) -> Result<()> {
        let (call, [e, n, k]) = (Call::new("adafactor", DType::F32), self.shape);
        let len = e * n * k;
        call.float32("parameter", self.parameter.as_view(), len)?;
        call.float32("gradient", self.gradient, len)?;
        call.float32_if_given("row moment", self.row_moment.as_ref().map(ViewMut::as_view), e * n)?;
        call.float32("column moment", self.column_moment.as_view(), e * k)?;
        call.float32_if_given("first moment", self.first_moment.as_ref().map(ViewMut::as_view), len)?;
        if self.row_moment.is_none() && e * n > 1 {
            return Err(Error::argument(call.op, "moments of the rows", format!("none for {} rows", e * n)));
        }
        if self.first_moment.is_some() != step.beta1.is_some() {
            let [expected, got] = if step.beta1.is_some() { ["a", "none"] } else { ["no", "one"] };
            return Err(Error::argument(call.op, format!("{expected} first moment for this step"), got));
        }
        Ok(())
    }
}

/// Adafactor (Shazeer and Stern 2018, arXiv:1804.04235) as `transformers.optimization.Adafactor` computes it. With η the tensor's learning
/// rate, λ its decay, `β = 1 − tᵈ` (d the decay rate), ε₁ and ε₂ the epsilons and RMS the root mean square over a whole tensor:
///
/// `R ← β R + (1 − β) (mean over the row of g² + ε₁)`, `C` of the columns alike, `u = g / √(R / mean of R) / √C`, in each matrix; of a
/// single row `u = g / √C`. Then `u ← u / max(1, RMS(u) / clip)`, `η ← η · max(ε₂, RMS(p))` where parameters scale,
/// `p ← p (1 − ηλ) − η u`; with a first moment `m ← β₁ m + (1 − β₁) η u` and `m` in place of `η u`.
///
/// Sums over rows run over fixed chunks of 256, combined in index order.
///
/// Tolerance f32: parameters 2e-6 relative, moments 2e-6: sums of up to thousands of squares and three roots come before. Edge sizes: no element; matrices of
/// 1, 7, 16, 255, 256, 257 and 600 rows by 1, 5, 16, 33 and 300 columns, a stack of three, vectors of 1, 17 and 4099.
pub trait Adafactor: GradNorm {
    /// Takes a step with every tensor, each gradient multiplied with the factor of `norm` first. Changes nothing when the norm is
    /// not finite.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a moment is missing or in vain, or a view does not fit.
    fn adafactor(
        &self,
        step: &AdafactorStep,
        norm: &Self::Norm,
        tensors: &mut [AdafactorTensor<'_, Self::Buffer>],
    ) -> Result<()>;
}

impl AdafactorStep {
    /// What is kept of the second moments: 0 at the first step.
    pub fn kept(&self) -> f64 {
        1.0 - (self.step as f64).powf(self.decay_rate)
    }
}

/// The same in float64, written for reading.
pub mod reference {
    use super::AdafactorStep;

    /// One tensor with its moments.
    #[derive(Debug, Clone)]
    pub struct Tensor {
        /// The parameter.
        pub parameter: Vec<f64>,
        /// Summed gradient.
        pub gradient: Vec<f64>,
        /// Matrices, rows, columns.
        pub shape: [usize; 3],
        /// Second moments of the rows; none of a vector.
        pub row_moment: Option<Vec<f64>>,
        /// Second moments of the columns.
        pub column_moment: Vec<f64>,
        /// First moment; of no meaning where the step has none.
        pub first_moment: Vec<f64>,
        /// Learning rate.
        pub learning_rate: f64,
        /// Decoupled weight decay.
        pub weight_decay: f64,
    }

    fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let len = values.len() as f64;
        values.sum::<f64>() / len
    }

    fn root_mean_square(values: &[f64]) -> f64 {
        mean(values.iter().map(|x| x * x)).sqrt()
    }

    /// Steps one tensor in place, its gradient multiplied with `factor` first.
    pub fn adafactor(step: &AdafactorStep, factor: f64, tensor: &mut Tensor) {
        let [matrices, rows, columns] = tensor.shape;
        if tensor.parameter.is_empty() {
            return;
        }
        let g: Vec<f64> = tensor.gradient.iter().map(|g| g * factor).collect();
        let at = |e: usize, i: usize, j: usize| (e * rows + i) * columns + j;
        let beta = step.kept();
        let [epsilon, least] = step.epsilon;
        let moved = |moment: &mut f64, square: f64| *moment = beta * *moment + (1.0 - beta) * (square + epsilon);
        let mut u = g.clone();
        for e in 0..matrices {
            for j in 0..columns {
                let square = mean((0..rows).map(|i| g[at(e, i, j)].powi(2)));
                moved(&mut tensor.column_moment[e * columns + j], square);
            }
            if let Some(moment) = &mut tensor.row_moment {
                for i in 0..rows {
                    moved(&mut moment[e * rows + i], mean((0..columns).map(|j| g[at(e, i, j)].powi(2))));
                }
                let moment = &moment[e * rows..(e + 1) * rows];
                let middle = mean(moment.iter().copied());
                for (i, moment) in moment.iter().enumerate() {
                    (0..columns).for_each(|j| u[at(e, i, j)] /= (moment / middle).sqrt());
                }
            }
            for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                u[at(e, i, j)] /= tensor.column_moment[e * columns + j].sqrt();
            }
        }
        let scale = if step.scale_parameter { root_mean_square(&tensor.parameter).max(least) } else { 1.0 };
        let rate = tensor.learning_rate * scale;
        let clip = (root_mean_square(&u) / step.clip_threshold).max(1.0);
        for ((p, u), m) in tensor.parameter.iter_mut().zip(u).zip(&mut tensor.first_moment) {
            let mut along = rate * u / clip;
            if let Some(beta1) = step.beta1 {
                *m = beta1 * *m + (1.0 - beta1) * along;
                along = *m;
            }
            *p = *p * (1.0 - rate * tensor.weight_decay) - along;
        }
    }
}
