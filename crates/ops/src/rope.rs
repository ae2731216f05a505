//! `rope`: rotary position embedding.

use crate::check::Call;
use crate::error::{Error, Result};
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

/// The sense of the rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// By +angle: the forward pass.
    Forward,
    /// By −angle: the gradient of the forward pass.
    Backward,
}

/// Sizes of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RopeShape {
    /// Tokens.
    pub t: usize,
    /// Heads.
    pub heads: usize,
    /// Head size.
    pub h: usize,
    /// Elements at the start of every head that are rotated: even, at most `h`. The rest stays.
    pub rotary: usize,
}

/// RoPE (Su et al. 2021, arXiv:2104.09864) in the half-split form of Hugging Face checkpoints: element `i` of a head pairs
/// with element `i + rotary/2`; angle = `position · inv_freq[i]` in float32; cosine and sine are multiplied by
/// `attention_scaling`.
///
/// In place; angles and arithmetic are float32. Tolerance f32: 2e-6 relative to the largest output at positions below
/// 2^16; bf16: 4e-3.
/// Edge sizes: t in 0, 1, 257; h in 2, 16, 64, 128; all, half and none of the head rotated.
pub trait Rope: Memory {
    /// Rotates `x[t, heads, h]` in place; `positions` is i32 `[t]`, `inv_freq` f32 `[rotary/2]`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape, or `rotary` is odd or above `h`.
    fn rope(
        &self,
        shape: RopeShape,
        x: ViewMut<'_, Self::Buffer>,
        positions: View<'_, Self::Buffer>,
        inv_freq: View<'_, Self::Buffer>,
        attention_scaling: f32,
        rotation: Rotation,
    ) -> Result<()>;
}

impl RopeShape {
    /// Checks the arguments of [`Rope::rope`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit, or `rotary` odd or above `h`.
    pub fn check<T: TypedBuffer>(
        self,
        call: Call,
        x: View<'_, T>,
        positions: View<'_, T>,
        inv_freq: View<'_, T>,
    ) -> Result<()> {
        let Self { t, heads, h, rotary } = self;
        if rotary > h || !rotary.is_multiple_of(2) {
            return Err(Error::argument(call.op, format!("an even number of rotated elements, at most {h}"), rotary));
        }
        call.activations("x", x, t * heads * h)?;
        call.int32("positions", positions, t)?;
        call.float32("inv_freq", inv_freq, rotary / 2)
    }
}

/// The same in float64, written for reading.
pub mod reference {
    use super::{RopeShape, Rotation};

    /// The rotated heads. The angle is rounded to float32 as the contract says; everything after it is float64.
    pub fn rope(
        shape: RopeShape,
        x: &[f64],
        positions: &[i32],
        inv_freq: &[f32],
        attention_scaling: f64,
        rotation: Rotation,
    ) -> Vec<f64> {
        let RopeShape { heads, h, rotary, .. } = shape;
        let mut y = x.to_vec();
        for (t, &position) in positions.iter().enumerate() {
            for head in 0..heads {
                let start = (t * heads + head) * h;
                for i in 0..rotary / 2 {
                    let angle = f64::from(position as f32 * inv_freq[i]);
                    let angle = match rotation {
                        Rotation::Forward => angle,
                        Rotation::Backward => -angle,
                    };
                    let (sine, cosine) = angle.sin_cos();
                    let (a, b) = (x[start + i], x[start + i + rotary / 2]);
                    y[start + i] = attention_scaling * (a * cosine - b * sine);
                    y[start + i + rotary / 2] = attention_scaling * (b * cosine + a * sine);
                }
            }
        }
        y
    }
}
