//! `dropout`: four features a block of random words, one row at a time.

use tunesmith_ops::{Dropout, DropoutMask, Result, View, ViewMut, philox};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::views::{call, floats, floats_mut, integers};

/// Elements of one piece of work: the generator costs far more than the memory.
const PIECE: usize = 4096;

impl Dropout for Cpu {
    fn dropout(
        &self,
        m: usize,
        n: usize,
        mask: DropoutMask,
        row_ids: View<'_, Buffer>,
        positions: View<'_, Buffer>,
        factor: f32,
        x: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        mask.check(call("dropout"), m, n, row_ids, positions, x, y.as_view())?;
        let row_ids = integers(row_ids);
        let positions = integers(positions);
        let x = floats(x);
        let y = floats_mut(y);
        if n == 0 {
            return Ok(());
        }
        let (rows, threshold) = ((PIECE / n).max(1), mask.threshold());
        let places = row_ids.chunks(rows).zip(positions.chunks(rows));
        let pieces = x.chunks(rows * n).zip(y.chunks_mut(rows * n)).zip(places);
        self.pool.each(pieces, |_, ((x, y), (row_ids, positions))| {
            let tokens = row_ids.iter().zip(positions);
            for ((x, y), (&row, &position)) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(tokens) {
                for (block, (x, y)) in x.chunks(4).zip(y.chunks_mut(4)).enumerate() {
                    let words = philox(mask.key, [block as u32, position as u32, row as u32, 0]);
                    for ((x, y), word) in x.iter().zip(y).zip(words) {
                        let value = if word >= threshold { factor * x } else { 0.0 };
                        *y = if accumulate { *y + value } else { value };
                    }
                }
            }
        })
    }
}
