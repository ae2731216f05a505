//! `embedding`: rows gathered from a table, and scattered back.

use tunesmith_ops::{Embedding, Error, Matrix, Result, View, ViewMut};

use crate::buffer::Buffer;
use crate::product::SharedMatrix;
use crate::weight::{Weight, operand};
use crate::{Cpu, check};

/// Rows of one piece of the gather.
const ROWS: usize = 16;

/// Columns of one piece of the scatter.
const COLUMNS: usize = 128;

/// The indices, each checked to be a row of the table.
fn indices<'a>(op: &str, v: usize, ids: View<'a, Buffer>) -> Result<&'a [i32]> {
    let ids = check::integers(op, "ids", ids, ids.len)?;
    match ids.iter().find(|&&id| usize::try_from(id).map_or(true, |id| id >= v)) {
        None => Ok(ids),
        Some(id) => Err(Error::argument(op, format!("ids in 0 .. {v}"), id)),
    }
}

impl Embedding for Cpu {
    fn embedding_forward(
        &self,
        v: usize,
        d: usize,
        table: Matrix<'_, Weight, Buffer>,
        ids: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let op = "embedding_forward";
        let table = operand(op, v, d, table)?;
        let ids = indices(op, v, ids)?;
        let y = check::floats_mut(op, "y", y, ids.len() * d)?;
        let pieces = y.chunks_mut((ROWS * d).max(1)).zip(ids.chunks(ROWS));
        self.pool.each(pieces, |_, (y, ids)| {
            for (row, &id) in y.chunks_exact_mut(d).zip(ids) {
                table.read_row(self.isa, id as usize, row);
            }
        })
    }

    fn embedding_backward(
        &self,
        v: usize,
        d: usize,
        dy: View<'_, Buffer>,
        ids: View<'_, Buffer>,
        dtable: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let op = "embedding_backward";
        let ids = indices(op, v, ids)?;
        let dy = check::floats(op, "dy", dy, ids.len() * d)?;
        let dtable = SharedMatrix::new(check::floats_mut(op, "dtable", dtable, v * d)?, d);
        self.pool.run(d.div_ceil(COLUMNS), |index| {
            let column = index * COLUMNS;
            let width = COLUMNS.min(d - column);
            for (row, &id) in dy.chunks_exact(d).zip(ids) {
                // SAFETY: every task has its own columns, and uses one row at a time.
                let mut target = unsafe { dtable.tile(id as usize, column) };
                let sums = target.row(0, width).iter_mut();
                sums.zip(&row[column..]).for_each(|(t, x)| *t += x);
            }
        })
    }
}
