//! `neftune`: four features a block of random words, one row at a time.

use tunesmith_ops::{Neftune, Result, View, ViewMut, neftune, philox};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::views::{call, floats, floats_mut, integers};

/// Elements of one piece of work: the generator costs far more than the memory.
const PIECE: usize = 4096;

impl Neftune for Cpu {
    fn neftune(
        &self,
        m: usize,
        n: usize,
        key: u64,
        row_ids: View<'_, Buffer>,
        positions: View<'_, Buffer>,
        magnitudes: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        neftune::check(call("neftune"), m, n, row_ids, positions, magnitudes, y.as_view())?;
        let (row_ids, positions, magnitudes, y) =
            (integers(row_ids), integers(positions), floats(magnitudes), floats_mut(y));
        if n == 0 {
            return Ok(());
        }
        let rows = (PIECE / n).max(1);
        let places = row_ids.chunks(rows).zip(positions.chunks(rows)).zip(magnitudes.chunks(rows));
        self.pool.each(y.chunks_mut(rows * n).zip(places), |_, (y, ((row_ids, positions), magnitudes))| {
            let tokens = row_ids.iter().zip(positions).zip(magnitudes);
            for (y, ((&row, &position), magnitude)) in y.chunks_exact_mut(n).zip(tokens) {
                for (block, y) in y.chunks_mut(4).enumerate() {
                    let words = philox(key, [block as u32, position as u32, row as u32, 0]);
                    for (y, word) in y.iter_mut().zip(words) {
                        *y += magnitude * neftune::unit(word);
                    }
                }
            }
        })
    }
}
