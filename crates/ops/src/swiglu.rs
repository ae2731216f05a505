//! `swiglu`: the gated activation of the feed-forward block.

use crate::check::Call;
use crate::error::Result;
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

/// The function of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `g / (1 + exp(−g))`: SwiGLU.
    Silu,
    /// `g · (1 + tanh(√(2/π) · (g + 0.044715 g³))) / 2` (Hendrycks and Gimpel 2016, arXiv:1606.08415): GeGLU.
    GeluTanh,
}

/// Gated linear units (Shazeer 2020, arXiv:2002.05202): `y = act(gate) · up`.
///
/// Saves gate and up. Tolerance f32: forward 2e-6, backward 5e-6 relative to the largest output; bf16: 4e-3.
/// Edge sizes: 0, 1, 15, 16, 17, 4099; gate at ±100; every activation.
pub trait Swiglu: Memory {
    /// `y[i] = act(gate[i]) · up[i]`; writes.
    ///
    /// # Errors
    /// `ArgumentInvalid` on unequal lengths.
    fn swiglu_forward(
        &self,
        activation: Activation,
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
        activation: Activation,
        dy: View<'_, Self::Buffer>,
        gate: ViewMut<'_, Self::Buffer>,
        up: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}

/// Checks the views of [`Swiglu::swiglu_forward`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_forward<T: TypedBuffer>(call: Call, gate: View<'_, T>, up: View<'_, T>, y: View<'_, T>) -> Result<()> {
    call.activations("gate", gate, y.len)?;
    call.activations("up", up, y.len)?;
    call.activations("y", y, y.len)
}

/// Checks the views of [`Swiglu::swiglu_backward`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_backward<T: TypedBuffer>(call: Call, dy: View<'_, T>, gate: View<'_, T>, up: View<'_, T>) -> Result<()> {
    call.activations("dy", dy, dy.len)?;
    call.activations("gate", gate, dy.len)?;
    call.activations("up", up, dy.len)
}

/// The same in float64, written for reading.
pub mod reference {
    use super::Activation;

    /// Value and slope of the gate's function.
    fn activated(activation: Activation, g: f64) -> (f64, f64) {
        match activation {
            Activation::Silu => {
                let sigmoid = 1.0 / (1.0 + (-g).exp());
                (g * sigmoid, sigmoid * (1.0 + g * (1.0 - sigmoid)))
            }
            Activation::GeluTanh => {
                let k = std::f64::consts::FRAC_2_PI.sqrt();
                let tanh = (k * (g + 0.044_715 * g.powi(3))).tanh();
                let inner = k * (1.0 + 3.0 * 0.044_715 * g * g);
                (0.5 * g * (1.0 + tanh), 0.5 * (1.0 + tanh) + 0.5 * g * (1.0 - tanh * tanh) * inner)
            }
        }
    }

    /// `y`.
    pub fn forward(activation: Activation, gate: &[f64], up: &[f64]) -> Vec<f64> {
        gate.iter().zip(up).map(|(&g, u)| activated(activation, g).0 * u).collect()
    }

    /// `dgate` and `dup`.
    pub fn backward(activation: Activation, dy: &[f64], gate: &[f64], up: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let pairs = gate.iter().zip(up).zip(dy);
        pairs
            .map(|((&g, u), dy)| {
                let (value, slope) = activated(activation, g);
                (dy * u * slope, dy * value)
            })
            .unzip()
    }
}
