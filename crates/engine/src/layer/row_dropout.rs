//! Dropout of a training pass: which elements of some rows are zero, keyed by step, row and position.

use tunesmith_ops::{Backend, DropoutMask, Memory, Result, View, ViewMut};

use crate::batch::Rows;
use crate::rng::{Philox, Purpose};

/// How much is dropped at one place of the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropoutAt {
    /// Probability, from 0 to below 1; 0 drops nothing.
    pub p: f64,
    /// What the random numbers are for.
    pub purpose: Purpose,
    /// The place's own stream of them.
    pub stream: u32,
}

/// The mask of one place in one step, and whose rows it belongs to.
pub(super) struct RowDropout<'a, B: Memory> {
    mask: DropoutMask,
    rows: Rows<'a, B>,
    row_ids: View<'a, B::Buffer>,
    positions: View<'a, B::Buffer>,
}

impl<'a, B: Backend> RowDropout<'a, B> {
    /// None where nothing is dropped: without a probability, and in every pass that is not of training.
    pub fn of(at: DropoutAt, rows: Rows<'a, B>) -> Option<Self> {
        let places = rows.places.filter(|_| at.p > 0.0)?;
        let key = Philox::new(places.key.seed).bits(at.purpose, at.stream, places.key.step);
        let mask = DropoutMask { key, p: at.p };
        Some(Self { mask, rows, row_ids: places.row_ids, positions: places.positions })
    }

    /// `y (+)= factor · x` where kept, scaled to the same expected value.
    pub fn apply(
        &self,
        backend: &B,
        factor: f32,
        x: View<'_, B::Buffer>,
        y: ViewMut<'_, B::Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        let (m, n, factor) = (self.rows.count, x.len / self.rows.count.max(1), factor * self.mask.scale());
        backend.dropout(m, n, self.mask, self.row_ids, self.positions, factor, x, y, accumulate)
    }
}
