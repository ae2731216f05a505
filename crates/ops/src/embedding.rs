//! `embedding`: rows of a table by index, and their gradient.

use crate::check::Call;
use crate::error::Result;
use crate::matmul::{Matmul, Matrix};
use crate::memory::{TypedBuffer, View, ViewMut};

/// Row gather and scatter. The same op picks the supervised rows of the hidden states before the head.
///
/// Letters: `v` rows of the table, `d` columns, `n` indices. Exact forward, but for the rounding of a float32 table
/// to 16-bit activations; backward tolerance f32 1e-6, and 4e-3 where `dtable` is bf16.
/// Edge sizes: n in 0, 1, 257; repeated indices; first and last row.
pub trait Embedding: Matmul {
    /// `y[i] = table[ids[i]]`; writes. `ids` is an i32 view of `n`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit, or an id is outside `0 .. v`: a device on which looking at the ids would
    /// mean waiting for it gives such an id a row of NaN instead.
    fn embedding_forward(
        &self,
        v: usize,
        d: usize,
        table: Matrix<'_, Self::Weight, Self::Buffer>,
        ids: View<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `dtable[ids[i]] += dy[i]`; accumulates, in index order per row (deterministic with repeated ids).
    ///
    /// # Errors
    /// `ArgumentInvalid` as forward; the device that marked a row leaves it out here.
    fn embedding_backward(
        &self,
        v: usize,
        d: usize,
        dy: View<'_, Self::Buffer>,
        ids: View<'_, Self::Buffer>,
        dtable: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}

/// Checks the views of [`Embedding::embedding_forward`], but for the table.
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_forward<T: TypedBuffer>(call: Call, d: usize, ids: View<'_, T>, y: View<'_, T>) -> Result<()> {
    call.int32("ids", ids, ids.len)?;
    call.activations("y", y, ids.len * d)
}

/// Checks the views of [`Embedding::embedding_backward`].
///
/// # Errors
/// `ArgumentInvalid` naming the view that does not fit.
pub fn check_backward<T: TypedBuffer>(
    call: Call,
    v: usize,
    d: usize,
    dy: View<'_, T>,
    ids: View<'_, T>,
    dtable: View<'_, T>,
) -> Result<()> {
    call.int32("ids", ids, ids.len)?;
    call.activations("dy", dy, ids.len * d)?;
    call.float32_or_activations("dtable", dtable, v * d)
}

/// The same in float64, written for reading.
pub mod reference {
    /// `y[n, d]`.
    pub fn forward(d: usize, table: &[f64], ids: &[i32]) -> Vec<f64> {
        ids.iter().flat_map(|&id| table[id as usize * d..(id as usize + 1) * d].to_vec()).collect()
    }

    /// `dtable[v, d]`.
    pub fn backward(v: usize, d: usize, dy: &[f64], ids: &[i32]) -> Vec<f64> {
        let mut dtable = vec![0.0; v * d];
        for (i, &id) in ids.iter().enumerate() {
            for j in 0..d {
                dtable[id as usize * d + j] += dy[i * d + j];
            }
        }
        dtable
    }
}
