//! `neftune`: uniform noise on the embeddings of a training pass, drawn by the row of data and not by its place in a batch.

use crate::check::Call;
use crate::error::Result;
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

/// Uniform number in (−1, 1) of a random word: one of 2²⁴ odd multiples of 2⁻²⁴, all exact in float32, and never 0 or ±1.
pub fn unit(word: u32) -> f32 {
    (2 * (word >> 8) as i32 + 1 - (1 << 24)) as f32 * 2f32.powi(-24)
}

/// NEFTune (Jain et al. 2023, arXiv:2310.05914): noise on embeddings with counted random numbers. Element (i, j) gets
/// `magnitudes[i] · u`, where `u` is [`unit`] of word `j mod 4` of `philox(key, [⌊j / 4⌋, positions[i], row_ids[i], 0])`. The same rows
/// get the same noise in any batch, packed or not. The gradient passes as it is, so that there is no backward.
///
/// Letters: `m` rows (tokens), `n` features. Saves nothing. Tolerance f32 2e-7 (bf16: 4e-3) relative to the largest output.
/// Edge sizes: m in 0, 1, 257; n in 1, 3, 4, 5, 64, 4099; magnitude 0; negative row ids (taken as 32 bits).
pub trait Neftune: Memory {
    /// `y[i, j] += magnitudes[i] · u(i, j)`; accumulates. `row_ids` and `positions` are i32 views of `m`, `magnitudes` a float32 view
    /// of `m`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn neftune(
        &self,
        m: usize,
        n: usize,
        key: u64,
        row_ids: View<'_, Self::Buffer>,
        positions: View<'_, Self::Buffer>,
        magnitudes: View<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}

/// Checks the views of [`Neftune::neftune`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check<T: TypedBuffer>(
    call: Call,
    m: usize,
    n: usize,
    row_ids: View<'_, T>,
    positions: View<'_, T>,
    magnitudes: View<'_, T>,
    y: View<'_, T>,
) -> Result<()> {
    call.int32("row_ids", row_ids, m)?;
    call.int32("positions", positions, m)?;
    call.float32("magnitudes", magnitudes, m)?;
    call.activations("y", y, m * n)
}

/// The same in float64, written for reading.
pub mod reference {
    use crate::philox::philox;

    /// `u` of element `j` of the token at `position` of row `row_id`.
    pub fn unit(key: u64, row_id: i32, position: i32, j: usize) -> f64 {
        let words = philox(key, [(j / 4) as u32, position as u32, row_id as u32, 0]);
        (f64::from(words[j % 4] >> 8) + 0.5) / 8_388_608.0 - 1.0
    }

    /// `y[m, n]` with the noise.
    pub fn neftune(n: usize, key: u64, row_ids: &[i32], positions: &[i32], magnitudes: &[f64], y: &[f64]) -> Vec<f64> {
        let value = |(place, y): (usize, &f64)| {
            let (i, j) = (place / n, place % n);
            y + magnitudes[i] * unit(key, row_ids[i], positions[i], j)
        };
        y.iter().enumerate().map(value).collect()
    }
}
