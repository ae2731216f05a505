//! Products over all threads, in tiles of at most 256 rows by 32 columns, or 512 rows where weights have four bits.

use std::ops::Range;

use tunesmith_ops::{MatmulShape, Result};

use super::f32::{COLLIDING, Mode, Product};
use super::operand::{Left, Right};
use super::panel::{Operand, PANEL, Source, TILE_ROWS};
use super::target::{SharedMatrix, Target};
use crate::{Cpu, scratch};

/// Steps of the reduced axis that make one chain; the chains of an element are added in index order. One chain along a
/// vocabulary would lose every term below its last bit; short ones keep the sum as exact as pairwise summation. A panel
/// of 96 KiB.
const STEPS: usize = 768;

/// The same where the weight must be turned first: 32 KiB of scratch, which stay in the nearest cache.
const TURNED_STEPS: usize = 256;

/// Elements of a piece of four-bit codes that is decoded at a time: 216 KiB, half of the second cache.
const DECODED: usize = 54 * 1024;

/// Columns of a weight from which on its gradient's rows outgrow the cache. Then, and where the rows collide in it, a task
/// takes [`WIDE`] column groups for each time it reads them.
const LONG: usize = 4096;
const WIDE: usize = 3;

/// Column groups of a gradient for which a task takes four-bit codes: a cache line of them.
const LINE_GROUPS: usize = 4;

/// Rows whose sum is made before it is added to a gradient.
pub(crate) const CHUNK: usize = 256;

/// The `index`th of the equal blocks, of at most `size`, that `total` is cut into.
pub(crate) fn block(total: usize, size: usize, index: usize) -> Range<usize> {
    let count = total.div_ceil(size);
    index * total / count..(index + 1) * total / count
}

/// Steps of each of the nearly equal pieces that an axis is cut into: about `most` or fewer, a multiple of 32. A short last piece
/// would cost as many loads and stores of the target as a long one.
fn even(total: usize, most: usize) -> usize {
    total.div_ceil(total.div_ceil(most).max(1)).next_multiple_of(PANEL).max(PANEL)
}

/// A low-rank product that continues the chains of a larger one: `left[m, r] · right`, where `pack` writes the columns
/// of tile `p` of the right operand as `[r][32]`.
pub(crate) struct Tail<'a> {
    pub(crate) left: &'a [f32],
    pub(crate) r: usize,
    pub(crate) pack: &'a (dyn Fn(usize, &mut [f32]) + Sync),
}

impl Cpu {
    /// Runs `tile(rows, column tile)` over the tiles, of at most `height` rows, of an `m × n` output.
    fn tiles(&self, m: usize, height: usize, n: usize, tile: impl Fn(Range<usize>, usize) + Sync) -> Result<()> {
        let columns = n.div_ceil(PANEL);
        self.pool.run(m.div_ceil(height) * columns, |index| {
            tile(block(m, height, index / columns), index % columns);
        })
    }

    /// Column groups of a task: `most`, or one fewer where the threads then end closer together. `groups` are there in all,
    /// for each of `blocks` blocks of rows.
    fn balanced(&self, most: usize, groups: usize, blocks: usize) -> usize {
        let end = |wide: usize| (groups.div_ceil(wide) * blocks).div_ceil(self.pool.threads()) * wide;
        if most > 1 && end(most - 1) < end(most) { most - 1 } else { most }
    }

    /// `y = x wᵀ (+ bias) (+ tail)`.
    pub(crate) fn forward_tiles(
        &self,
        shape: MatmulShape,
        x: &[f32],
        w: Operand<'_>,
        bias: Option<&[f32]>,
        tail: Option<&Tail<'_>>,
        y: &mut [f32],
    ) -> Result<()> {
        let MatmulShape { m, n, k } = shape;
        let y = SharedMatrix::new(y, n);
        self.tiles(m, w.tile_rows(), n, |rows, p| {
            let width = PANEL.min(n - p * PANEL);
            // SAFETY: every task has its own rows and columns of `y`.
            let mut target = unsafe { y.tile(rows.start, p * PANEL) };
            let mut mode = Mode::Write;
            if let Some(bias) = bias {
                mode = Mode::Chain;
                for i in 0..rows.len() {
                    target.row(i, width).copy_from_slice(&bias[p * PANEL..p * PANEL + width]);
                }
            }
            let steps = even(k, STEPS);
            let mut scratch = scratch::take(steps * PANEL);
            for first in (0..k.max(1)).step_by(steps) {
                let end = (first + steps).min(k);
                self.isa.run(Product {
                    ahead: &[],
                    m: rows.len(),
                    n: width,
                    k: end - first,
                    left: Left::rows(&x[rows.start * k + first..], k),
                    right: w.panel(self.isa, p, first, end, &mut scratch),
                    target: target.reborrow(),
                    mode,
                });
                mode = Mode::Add;
            }
            if let Some(tail) = tail {
                self.add_tail(tail, rows, width, p, &mut target);
            }
        })
    }

    /// `dx (+)= dy w (+ tail)`.
    pub(crate) fn backward_tiles(
        &self,
        shape: MatmulShape,
        dy: &[f32],
        w: Operand<'_>,
        tail: Option<&Tail<'_>>,
        dx: &mut [f32],
        accumulate: bool,
    ) -> Result<()> {
        let MatmulShape { m, n, k } = shape;
        let dx = SharedMatrix::new(dx, k);
        let most = match w.source {
            Source::Nf4(_) => LINE_GROUPS,
            _ if n > LONG || n.is_multiple_of(COLLIDING) => WIDE,
            _ => 1,
        };
        let (height, blocks) = (w.tile_rows(), m.div_ceil(w.tile_rows()));
        let wide = self.balanced(most, k.div_ceil(PANEL), blocks);
        let columns = k.div_ceil(wide * PANEL);
        self.pool.run(blocks * columns, |index| {
            let (rows, column) = (block(m, height, index / columns), index % columns);
            let groups = column * wide..(column * wide + wide).min(k.div_ceil(PANEL));
            let width = (groups.len() * PANEL).min(k - groups.start * PANEL);
            // SAFETY: every task has its own rows and columns of `dx`.
            let mut target = unsafe { dx.tile(rows.start, groups.start * PANEL) };
            let mut mode = if accumulate { Mode::Add } else { Mode::Write };
            let stride = w.columns_stride(groups.len());
            let steps = even(n, if let Source::Nf4(_) = w.source { DECODED / stride } else { TURNED_STEPS });
            let mut scratch = scratch::take(steps * stride);
            for first in (0..n.max(1)).step_by(steps) {
                let end = (first + steps).min(n);
                let right = w.columns(self.isa, &groups, first, end, &mut scratch);
                self.isa.run(Product {
                    ahead: &w.blocks(&groups, end..(end + steps).min(n)),
                    m: rows.len(),
                    n: width,
                    k: end - first,
                    left: Left::rows(&dy[rows.start * n + first..], n),
                    right,
                    target: target.reborrow(),
                    mode,
                });
                mode = Mode::Add;
            }
            let Some(tail) = tail else { return };
            for (place, g) in groups.enumerate() {
                let live = PANEL.min(width - place * PANEL);
                self.add_tail(tail, rows.clone(), live, g, &mut target.part(0, place * PANEL));
            }
        })
    }

    fn add_tail(&self, tail: &Tail<'_>, rows: Range<usize>, width: usize, p: usize, target: &mut Target<'_>) {
        let mut packed = scratch::take(tail.r * PANEL);
        (tail.pack)(p, &mut packed);
        self.isa.run(Product {
            ahead: &[],
            m: rows.len(),
            n: width,
            k: tail.r,
            left: Left::rows(&tail.left[rows.start * tail.r..], tail.r),
            right: Right::new(&packed, PANEL),
            target: target.reborrow(),
            mode: Mode::Add,
        });
    }

    /// `dw[n, k] += Σ over chunks of dyᵀ x`.
    pub(crate) fn token_sums(&self, shape: MatmulShape, dy: &[f32], x: &[f32], dw: &mut [f32]) -> Result<()> {
        let MatmulShape { m, n, k } = shape;
        let dw = SharedMatrix::new(dw, k);
        self.tiles(n, TILE_ROWS, k, |rows, g| {
            let width = PANEL.min(k - g * PANEL);
            // SAFETY: every task has its own rows and columns of `dw`.
            let mut target = unsafe { dw.tile(rows.start, g * PANEL) };
            let mut packed = scratch::take(CHUNK * PANEL);
            for first in (0..m).step_by(CHUNK) {
                let end = (first + CHUNK).min(m);
                for (row, t) in packed.chunks_exact_mut(PANEL).zip(first..end) {
                    let from = t * k + g * PANEL;
                    row[..width].copy_from_slice(&x[from..from + width]);
                }
                self.isa.run(Product {
                    ahead: &[],
                    m: rows.len(),
                    n: width,
                    k: end - first,
                    left: Left::transposed(&dy[first * n + rows.start..], n),
                    right: Right::new(&packed, PANEL),
                    target: target.reborrow(),
                    mode: Mode::Add,
                });
            }
        })
    }
}
