//! RMSNorm with a frozen or trained scale.

use tunesmith_ops::{Backend, NormShape, Result, View, ViewMut};

use super::weight::{Backward, Vector};
use crate::optimizer::Parameters;
use crate::workspace::WorkspaceBuffer;

/// Normalises rows of `d`.
pub struct Norm<B: Backend> {
    /// Name of the module in Hugging Face checkpoints.
    pub module: String,
    /// Row length.
    pub d: usize,
    /// Added to the mean of squares.
    pub eps: f32,
    /// Added to the scale.
    pub offset: f32,
    /// `[d]`.
    pub scale: Vector<B>,
}

impl<B: Backend> Norm<B> {
    /// True when the scale is trained.
    pub fn is_trained(&self) -> bool {
        matches!(self.scale, Vector::Trained(_))
    }

    fn shape(&self, m: usize) -> NormShape {
        NormShape { m, d: self.d, eps: self.eps, offset: self.offset }
    }

    /// Writes `y[m, d]` and keeps `rstd[m]`.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn forward(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        m: usize,
        x: View<'_, B::Buffer>,
        rstd: &mut WorkspaceBuffer<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        backend.rms_norm_forward(self.shape(m), x, self.scale.view(parameters), y, rstd.write(backend, m)?)
    }

    /// Adds `x` to `sum`, both `[m, d]`, writes the normed sum to `y` and keeps `rstd[m]`.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn forward_of_sum(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        m: usize,
        x: View<'_, B::Buffer>,
        sum: ViewMut<'_, B::Buffer>,
        rstd: &mut WorkspaceBuffer<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let (scale, rstd) = (self.scale.view(parameters), rstd.write(backend, m)?);
        backend.rms_norm_add_forward(self.shape(m), x, sum, scale, y, rstd)
    }

    /// Writes or accumulates `dx`, and adds the scale's gradient where it is trained.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn backward(
        &self,
        backend: &B,
        pass: &mut Backward<'_, B>,
        m: usize,
        dy: View<'_, B::Buffer>,
        x: View<'_, B::Buffer>,
        rstd: &WorkspaceBuffer<B>,
        dx: ViewMut<'_, B::Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        backend.rms_norm_backward(
            self.shape(m),
            dy,
            x,
            self.scale.view(pass.parameters),
            rstd.view(m)?,
            dx,
            accumulate,
            self.scale.gradient(pass.gradients),
        )
    }
}
