//! `dropout`: features zeroed at random, by a mask that belongs to the row of data and not to its place in a batch.

use crate::check::Call;
use crate::error::{Error, Result};
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

/// Which elements a pass keeps. The mask is computed wherever it is needed and never stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropoutMask {
    /// Key of the generator: one for each seed, step and layer.
    pub key: u64,
    /// Dropout probability, from 0 to below 1.
    pub p: f64,
}

impl DropoutMask {
    /// A word below this drops its element: `⌊p · 2³²⌋`.
    pub fn threshold(self) -> u32 {
        (self.p * 4_294_967_296.0) as u32
    }

    /// What keeps the expected value: `1 / (1 − p)`.
    pub fn scale(self) -> f32 {
        (1.0 / (1.0 - self.p)) as f32
    }
}

/// Dropout (Srivastava et al. 2014, JMLR 15) with counted random numbers: element (i, j) is kept when word `j mod 4` of
/// `philox(key, [⌊j / 4⌋, positions[i], row_ids[i], 0])` is at least `threshold`. The same rows give the same mask in any
/// batch, packed or not, in forward, in backward and when a layer is computed again.
///
/// Letters: `m` rows (tokens), `n` features. Saves nothing. Tolerance f32: exact but for one rounding, 1e-7 (bf16: 4e-3) relative to the
/// largest output; the kept elements themselves are exact. Edge sizes: m in 0, 1, 257; n in 1, 3, 4, 5, 64, 4099; p in 0,
/// 0.1, 0.5; negative row ids (taken as 32 bits).
pub trait Dropout: Memory {
    /// `y[i, j] = factor · x[i, j]` where element (i, j) is kept and 0 elsewhere; writes, or accumulates when `accumulate`
    /// (forward with [`DropoutMask::scale`] as factor; backward is the same with `x` the gradient). `row_ids` and
    /// `positions` are i32 views of `m`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape or `p` is out of range.
    fn dropout(
        &self,
        m: usize,
        n: usize,
        mask: DropoutMask,
        row_ids: View<'_, Self::Buffer>,
        positions: View<'_, Self::Buffer>,
        factor: f32,
        x: View<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
        accumulate: bool,
    ) -> Result<()>;
}

impl DropoutMask {
    /// Checks the arguments of [`Dropout::dropout`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit, or `p` out of range.
    pub fn check<T: TypedBuffer>(
        self,
        call: Call,
        m: usize,
        n: usize,
        row_ids: View<'_, T>,
        positions: View<'_, T>,
        x: View<'_, T>,
        y: View<'_, T>,
    ) -> Result<()> {
        if !(0.0..1.0).contains(&self.p) {
            return Err(Error::argument(call.op, "a probability from 0 to below 1", self.p));
        }
        call.int32("row_ids", row_ids, m)?;
        call.int32("positions", positions, m)?;
        call.activations("x", x, m * n)?;
        call.activations("y", y, m * n)
    }
}

/// The same in float64, written for reading.
pub mod reference {
    use super::DropoutMask;
    use crate::philox::philox;

    /// Whether element `j` of the token at `position` of row `row_id` is kept.
    pub fn kept(mask: DropoutMask, row_id: i32, position: i32, j: usize) -> bool {
        let words = philox(mask.key, [(j / 4) as u32, position as u32, row_id as u32, 0]);
        words[j % 4] >= mask.threshold()
    }

    /// `y[m, n]`.
    pub fn dropout(
        n: usize,
        mask: DropoutMask,
        row_ids: &[i32],
        positions: &[i32],
        factor: f64,
        x: &[f64],
    ) -> Vec<f64> {
        let value = |(place, x): (usize, &f64)| {
            let (i, j) = (place / n, place % n);
            if kept(mask, row_ids[i], positions[i], j) { factor * x } else { 0.0 }
        };
        x.iter().enumerate().map(value).collect()
    }
}
