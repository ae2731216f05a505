//! `swiglu`: the gated activation of the feed-forward block.

use crate::error::Result;
use crate::memory::{Memory, View, ViewMut};

/// SwiGLU (Shazeer 2020, arXiv:2002.05202): `y = silu(gate) · up`, `silu(g) = g / (1 + exp(−g))`.
///
/// Saves gate and up. Tolerance f32: forward 2e-6, backward 5e-6 relative to the largest output.
/// Edge sizes: 0, 1, 15, 16, 17, 4099; gate at ±100.
pub trait Swiglu: Memory {
    /// `y[i] = silu(gate[i]) · up[i]`; writes.
    ///
    /// # Errors
    /// `ArgumentInvalid` on unequal lengths.
    fn swiglu_forward(
        &self,
        gate: View<'_, Self::Buffer>,
        up: View<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// In place: `gate` becomes its gradient, `up` becomes its gradient.
    ///
    /// # Errors
    /// `ArgumentInvalid` on unequal lengths.
    fn swiglu_backward(
        &self,
        dy: View<'_, Self::Buffer>,
        gate: ViewMut<'_, Self::Buffer>,
        up: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}

/// The same in binary64, written for reading.
pub mod reference {
    fn sigmoid(g: f64) -> f64 {
        1.0 / (1.0 + (-g).exp())
    }

    /// `y`.
    pub fn forward(gate: &[f64], up: &[f64]) -> Vec<f64> {
        gate.iter().zip(up).map(|(g, u)| g * sigmoid(*g) * u).collect()
    }

    /// `dgate` and `dup`.
    pub fn backward(dy: &[f64], gate: &[f64], up: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let slope = |g: f64| sigmoid(g) * (1.0 + g * (1.0 - sigmoid(g)));
        let pairs = gate.iter().zip(up).zip(dy);
        pairs.map(|((&g, u), dy)| (dy * u * slope(g), dy * g * sigmoid(g))).unzip()
    }
}
