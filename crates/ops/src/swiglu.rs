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
