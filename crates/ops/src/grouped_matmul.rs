//! `grouped_matmul`: products of groups of rows, each with a weight matrix of its own.

use crate::error::{Code, Error, Result};
use crate::matmul::Matmul;
use crate::memory::{View, ViewMut};

/// A matrix `[n, k]` for each group.
#[derive(Debug)]
pub enum Stack<'a, W, T> {
    /// Never receives a gradient; stored as the backend likes best.
    Frozen(&'a [W]),
    /// Row-major binary32 `[groups, n, k]`.
    Trained(View<'a, T>),
}

impl<W, T> Clone for Stack<'_, W, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<W, T> Copy for Stack<'_, W, T> {}

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

fn refused<T>(op: &str) -> Result<T> {
    Err(Error::new(
        Code::ModelUnsupported,
        op,
        "expected a backend with mixtures of experts, got one without; train this model on the CPU",
    ))
}

/// The products of a mixture of experts without padding (Gale et al. 2022, arXiv:2211.15841). Group `g` has the rows
/// `starts[g] .. starts[g + 1]` of the activations, maybe none; `starts` is i32 `[groups + 1]`, ascending from 0 to `m`.
/// Each group's bits are those of `matmul` on its rows alone. A backend without kernels for mixtures leaves the methods as
/// they are: they refuse.
///
/// Tolerance f32: as `matmul`, 2e-6 · √k relative to the largest output. Edge sizes: m in 0, 1, 65; groups in 1, 5; empty
/// groups at both ends and in the middle; n and k in 1, 15, 33.
pub trait GroupedMatmul: Matmul {
    /// `y[m, n]`; writes.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a window does not fit the shape, or the starts do not ascend from 0 to `m`.
    fn grouped_forward(
        &self,
        _shape: GroupedShape,
        _x: View<'_, Self::Buffer>,
        _w: Stack<'_, Self::Weight, Self::Buffer>,
        _starts: View<'_, Self::Buffer>,
        _y: ViewMut<'_, Self::Buffer>,
    ) -> Result<()> {
        refused("grouped_forward")
    }

    /// `dx[m, k] = dy[m, n] · w[g, n, k]`; writes.
    ///
    /// # Errors
    /// As [`Self::grouped_forward`].
    fn grouped_backward_input(
        &self,
        _shape: GroupedShape,
        _dy: View<'_, Self::Buffer>,
        _w: Stack<'_, Self::Weight, Self::Buffer>,
        _starts: View<'_, Self::Buffer>,
        _dx: ViewMut<'_, Self::Buffer>,
    ) -> Result<()> {
        refused("grouped_backward_input")
    }

    /// `dw[g, n, k] += Σ over the rows of g of dyᵀ x`; accumulates, in fixed chunks of 256 rows combined in index order.
    ///
    /// # Errors
    /// As [`Self::grouped_forward`].
    fn grouped_backward_weight(
        &self,
        _shape: GroupedShape,
        _dy: View<'_, Self::Buffer>,
        _x: View<'_, Self::Buffer>,
        _starts: View<'_, Self::Buffer>,
        _dw: ViewMut<'_, Self::Buffer>,
    ) -> Result<()> {
        refused("grouped_backward_weight")
    }
}

/// The same in binary64, written for reading: group after group.
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
