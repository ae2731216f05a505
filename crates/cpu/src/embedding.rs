//! `embedding`: rows gathered from a table, and scattered back.

use tunesmith_ops::{Embedding, Matrix, Result, View, ViewMut, embedding};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::product::SharedMatrix;
use crate::views::{call, floats, floats_mut, integers};
use crate::weight::{Weight, operand};

/// Rows of one piece of the gather.
const ROWS: usize = 16;

/// Columns of one piece of the scatter.
const COLUMNS: usize = 128;

impl Embedding for Cpu {
    fn embedding_forward(
        &self,
        v: usize,
        d: usize,
        table: Matrix<'_, Weight, Buffer>,
        ids: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let call = call("embedding_forward");
        embedding::check_forward(call, d, ids, y.as_view())?;
        let (table, ids) = (operand(call, v, d, table)?, integers(ids));
        call.indices("ids", ids, v)?;
        let y = floats_mut(y);
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
        let call = call("embedding_backward");
        embedding::check_backward(call, v, d, dy, ids, dtable.as_view())?;
        let ids = integers(ids);
        call.indices("ids", ids, v)?;
        let dy = floats(dy);
        let dtable = SharedMatrix::new(floats_mut(dtable), d);
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
