//! `grouped_matmul`: products of groups of rows, each with a weight matrix of its own.

use crate::check::Call;
use crate::error::{Error, Result};
use crate::matmul::Matmul;
use crate::memory::{TypedBuffer, View, ViewMut};

/// A matrix `[n, k]` for each group.
#[derive(Debug)]
pub enum Stack<'a, S, T> {
    /// Never receives a gradient; stored as the backend likes best.
    Frozen(&'a S),
    /// Row-major float32 `[groups, n, k]`.
    Trained(View<'a, T>),
}

impl<S, T> Clone for Stack<'_, S, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S, T> Copy for Stack<'_, S, T> {}

/// Sizes of `y[m, n] = x[m, k] · w[g, n, k]ᵀ` with the group `g` of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupedShape {
    /// Rows of all groups together.
    pub m: usize,
    /// Groups.
    pub groups: usize,
    /// Out features.
    pub n: usize,
    /// In features.
    pub k: usize,
}

/// The products of a mixture of experts without padding (Gale et al. 2022, arXiv:2211.15841). Group `g` has the rows
/// `starts[g] .. starts[g + 1]` of the activations, maybe none; `starts` is i32 `[groups + 1]`, ascending from 0 to `m`.
///
/// The starts are made on the device by `router_group`, and nothing waits for them: a backend whose host does not see them
/// covers whatever division of the rows there may be, and invalid starts give NaN in all of the result.
/// A row's bits are those that the backend's own product gives it with the matrix of its group.
///
/// Tolerance f32: as `matmul`, 2e-6 · √k relative to the largest output; bf16: 4e-3, gradients of weights as f32. Edge sizes:
/// m in 0, 1, 65, 257, 401; groups in 1, 2, 3, 6; empty groups at both ends and in the middle, and all rows in one of many; n
/// and k in 1, 15, 33 and, so that rows are aligned, 72 and 168.
pub trait GroupedMatmul: Matmul {
    /// Frozen matrices of one size in the backend's layout, one for each group.
    type Stacked: Send + Sync;

    /// Puts frozen matrices `[n, k]` together.
    ///
    /// # Errors
    /// `ArgumentInvalid` when one has other sizes, or they are not all stored alike; `OutOfMemory`.
    fn stack_weights(&self, n: usize, k: usize, weights: Vec<Self::Weight>) -> Result<Self::Stacked>;

    /// `y[m, n]`; writes.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape, or, where the host sees them, the starts do not ascend from 0
    /// to `m`.
    fn grouped_forward(
        &self,
        shape: GroupedShape,
        x: View<'_, Self::Buffer>,
        w: Stack<'_, Self::Stacked, Self::Buffer>,
        starts: View<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `dx[m, k] = dy[m, n] · w[g, n, k]`; writes.
    ///
    /// # Errors
    /// As [`Self::grouped_forward`].
    fn grouped_backward_input(
        &self,
        shape: GroupedShape,
        dy: View<'_, Self::Buffer>,
        w: Stack<'_, Self::Stacked, Self::Buffer>,
        starts: View<'_, Self::Buffer>,
        dx: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `dw[g, n, k] += Σ over the rows of g of dyᵀ x`; accumulates, in an order that the number of those rows alone decides.
    ///
    /// # Errors
    /// As [`Self::grouped_forward`].
    fn grouped_backward_weight(
        &self,
        shape: GroupedShape,
        dy: View<'_, Self::Buffer>,
        x: View<'_, Self::Buffer>,
        starts: View<'_, Self::Buffer>,
        dw: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}

impl GroupedShape {
    /// Checks the views of [`GroupedMatmul::grouped_forward`] and of [`GroupedMatmul::grouped_backward_input`], given as the rows
    /// that are multiplied and the result, each with its name and width; `sizes` gives groups, `n` and `k` of frozen matrices.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_product<S, T: TypedBuffer>(
        self,
        call: Call,
        (from, a, reduced): (&str, View<'_, T>, usize),
        (to, c, width): (&str, View<'_, T>, usize),
        w: Stack<'_, S, T>,
        sizes: impl FnOnce(&S) -> (usize, usize, usize),
        starts: View<'_, T>,
    ) -> Result<()> {
        let Self { m, groups, n, k } = self;
        self.check_starts(call, starts)?;
        call.activations(from, a, m * reduced)?;
        call.activations(to, c, m * width)?;
        match w {
            Stack::Trained(view) => call.float32("w", view, groups * n * k),
            Stack::Frozen(stacked) => match sizes(stacked) {
                got if got == (groups, n, k) => Ok(()),
                (count, n_got, k_got) => {
                    let got = format!("{count} of {n_got} × {k_got}");
                    Err(Error::argument(call.op, format!("{groups} matrices of {n} × {k}"), got))
                }
            },
        }
    }

    /// Checks the views of [`GroupedMatmul::grouped_backward_weight`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_backward_weight<T: TypedBuffer>(
        self,
        call: Call,
        dy: View<'_, T>,
        x: View<'_, T>,
        starts: View<'_, T>,
        dw: View<'_, T>,
    ) -> Result<()> {
        let Self { m, groups, n, k } = self;
        self.check_starts(call, starts)?;
        call.activations("dy", dy, m * n)?;
        call.activations("x", x, m * k)?;
        call.float32("dw", dw, groups * n * k)
    }

    /// Checks the view of the starts; what they say may be known to the device alone.
    fn check_starts<T: TypedBuffer>(self, call: Call, starts: View<'_, T>) -> Result<()> {
        if self.groups == 0 && self.m > 0 {
            return Err(Error::argument(call.op, format!("a group for {} rows", self.m), 0));
        }
        call.int32("starts", starts, self.groups + 1)
    }
}

/// The same in float64, written for reading: group after group.
pub mod reference {
    use std::ops::Range;

    use super::GroupedShape;
    use crate::matmul::{MatmulShape, reference as matmul};

    fn groups(shape: GroupedShape, starts: &[i32]) -> impl Iterator<Item = (usize, Range<usize>, MatmulShape)> {
        let ranges: Vec<_> = starts.windows(2).map(|pair| pair[0] as usize..pair[1] as usize).collect();
        let GroupedShape { n, k, .. } = shape;
        ranges.into_iter().enumerate().map(move |(g, rows)| (g, rows.clone(), MatmulShape { m: rows.len(), n, k }))
    }

    /// `y`.
    pub fn forward(shape: GroupedShape, x: &[f64], w: &[f64], starts: &[i32]) -> Vec<f64> {
        let GroupedShape { n, k, .. } = shape;
        groups(shape, starts)
            .flat_map(|(g, rows, one)| {
                matmul::forward(one, &x[rows.start * k..rows.end * k], &w[g * n * k..][..n * k], None)
            })
            .collect()
    }

    /// `dx`.
    pub fn backward_input(shape: GroupedShape, dy: &[f64], w: &[f64], starts: &[i32]) -> Vec<f64> {
        let GroupedShape { n, k, .. } = shape;
        groups(shape, starts)
            .flat_map(|(g, rows, one)| {
                matmul::backward_input(one, &dy[rows.start * n..rows.end * n], &w[g * n * k..][..n * k])
            })
            .collect()
    }

    /// `dw`.
    pub fn backward_weight(shape: GroupedShape, dy: &[f64], x: &[f64], starts: &[i32]) -> Vec<f64> {
        let GroupedShape { n, k, .. } = shape;
        groups(shape, starts)
            .flat_map(|(_, rows, one)| {
                matmul::backward_weight(one, &dy[rows.start * n..rows.end * n], &x[rows.start * k..rows.end * k])
            })
            .collect()
    }
}
