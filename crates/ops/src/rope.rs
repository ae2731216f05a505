//! `rope`: rotary position embedding.

use crate::error::Result;
use crate::memory::{Memory, View, ViewMut};

/// The sense of the rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// By +angle: the forward pass.
    Forward,
    /// By −angle: the gradient of the forward pass.
    Backward,
}

/// RoPE (Su et al. 2021, arXiv:2104.09864) in the half-split form of Hugging Face checkpoints: element `i` of a head pairs
/// with element `i + h/2`; angle = `position · inv_freq[i]` in binary32; cosine and sine are multiplied by `attention_scaling`.
///
/// Letters: `t` tokens, `heads`, `h` head size (even). In place. Tolerance f32: 2e-6 relative to the largest output
/// at positions below 2^16. Edge sizes: t in 0, 1, 257; h in 2, 16, 64, 128.
pub trait Rope: Memory {
    /// Rotates `x[t, heads, h]` in place; `positions` is i32 `[t]`, `inv_freq` f32 `[h/2]`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a window does not fit the shape or `h` is odd.
    fn rope(
        &self,
        t: usize,
        heads: usize,
        h: usize,
        x: ViewMut<'_, Self::Buffer>,
        positions: View<'_, Self::Buffer>,
        inv_freq: View<'_, Self::Buffer>,
        attention_scaling: f32,
        rotation: Rotation,
    ) -> Result<()>;
}
