//! The one product everything is made of: `c[m, n] = a[m, k] · b[k, n]` on one thread, register tile by register tile.
//!
//! Every element of `c` is one chain of fused multiply-adds along `k` in index order, so neither the tile it falls into
//! nor its neighbours change its bits.

use crate::operand::{Left, Right};
use crate::scratch;
use crate::shared::Target;
use crate::simd::{Kernel, Simd};

/// Steps between a prefetch and the use of the line: more cycles than the main memory needs.
const AHEAD: usize = 24;

/// What a product does with the old content of its target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Forgets it: the chain starts at zero.
    Write,
    /// Starts the chain from it, so that several products make one longer chain.
    Chain,
    /// Adds the finished chain to it.
    Add,
}

/// One product; the operands may be parts of larger matrices.
pub(crate) struct Product<'a> {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) left: Left<'a>,
    pub(crate) right: Right<'a>,
    pub(crate) target: Target<'a>,
    pub(crate) mode: Mode,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let Self { m, n, k, .. } = self;
        if m == 0 || n == 0 {
            return;
        }
        assert!(self.left.fits(m, k), "the left operand is too short");
        assert!(self.right.fits(k, n), "the right operand is too short");
        assert!((m - 1) * self.target.stride + n <= self.target.len, "the target is too short");
        let mut column = 0;
        while column < n {
            let width = if n - column > S::LANES { 2 * S::LANES } else { S::LANES };
            self.columns(s, column, width);
            column += width;
        }
    }
}

impl Product<'_> {
    /// The columns `column .. column + width`, of which some may lie beyond `n`.
    #[inline(always)]
    fn columns<S: Simd>(&mut self, s: S, column: usize, width: usize) {
        let (k, Right { data, stride }) = (self.k, self.right);
        // Columns beyond `n` may read whatever lies there, their results are dropped; they may not read beyond the end.
        if k == 0 || (k - 1) * stride + column + width <= data.len() {
            self.strips(s, column, width, Right::new(&data[column.min(data.len())..], stride));
            return;
        }
        scratch::with(k * width, |copy| {
            let live = width.min(self.n - column);
            for (t, row) in copy.chunks_exact_mut(width).enumerate() {
                let from = t * stride + column;
                row[..live].copy_from_slice(&data[from..from + live]);
                row[live..].fill(0.0);
            }
            self.strips(s, column, width, Right::new(copy, width));
        });
    }

    /// All rows of one column group, in strips of nearly equal height.
    #[inline(always)]
    fn strips<S: Simd>(&mut self, s: S, column: usize, width: usize, right: Right<'_>) {
        let count = self.m.div_ceil(S::ROWS);
        let live = width.min(self.n - column);
        for strip in 0..count {
            let (first, end) = (strip * self.m / count, (strip + 1) * self.m / count);
            let tile = Tile {
                k: self.k,
                a: self.left.data[first * self.left.row..].as_ptr(),
                row: self.left.row,
                step: self.left.step,
                b: right.data.as_ptr(),
                b_stride: right.stride,
                mode: self.mode,
            };
            if live == width {
                // SAFETY: `run` has checked that the rows and columns lie inside all three operands.
                unsafe {
                    let c = self.target.pointer.add(first * self.target.stride + column);
                    tile.rows(s, end - first, width, c, self.target.stride);
                }
            } else {
                self.edge(s, &tile, (first, end), (column, live, width));
            }
        }
    }

    /// A tile whose last columns do not exist, by way of a full one.
    #[inline(always)]
    fn edge<S: Simd>(
        &mut self,
        s: S,
        tile: &Tile,
        (first, end): (usize, usize),
        (column, live, width): (usize, usize, usize),
    ) {
        let mut full = [0.0_f32; 14 * 32];
        let rows = full.chunks_exact_mut(width).take(end - first);
        for (i, row) in rows.enumerate() {
            let old = &self.target.row(first + i, column + live)[column..];
            row[..live].copy_from_slice(old);
        }
        // SAFETY: the full tile has room for 14 rows of 32, the largest of any instruction set; the operands were checked.
        unsafe { tile.rows(s, end - first, width, full.as_mut_ptr(), width) };
        let rows = full.chunks_exact(width).take(end - first);
        for (i, row) in rows.enumerate() {
            self.target.row(first + i, column + live)[column..].copy_from_slice(&row[..live]);
        }
    }
}

/// What all register tiles of a strip share.
struct Tile {
    k: usize,
    a: *const f32,
    row: usize,
    step: usize,
    b: *const f32,
    b_stride: usize,
    mode: Mode,
}

/// Calls the tile of the right height; heights an instruction set never uses compile to nothing.
macro_rules! tile_of_height {
    ($tile:expr, $s:expr, $rows:expr, $vectors:literal, $c:expr, $stride:expr, [$($r:literal)+]) => {
        match $rows {
            $($r if $r <= S::ROWS => $tile.compute::<S, $r, $vectors>($s, $c, $stride),)+
            _ => unreachable!("a strip has at most ROWS rows"),
        }
    };
}

impl Tile {
    /// # Safety
    /// All rows, columns and steps must lie inside the operands and `c`.
    #[inline(always)]
    unsafe fn rows<S: Simd>(&self, s: S, rows: usize, width: usize, c: *mut f32, stride: usize) {
        // SAFETY: the caller's promise is passed on.
        unsafe {
            if width == S::LANES {
                tile_of_height!(self, s, rows, 1, c, stride, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
            } else {
                tile_of_height!(self, s, rows, 2, c, stride, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
            }
        }
    }

    /// `R` rows of `N` vectors, held in registers along the whole of `k`.
    ///
    /// # Safety
    /// As [`Tile::rows`].
    #[inline(always)]
    unsafe fn compute<S: Simd, const R: usize, const N: usize>(&self, s: S, c: *mut f32, stride: usize) {
        // SAFETY: every pointer below stays inside the operands by the caller's promise.
        unsafe {
            let mut sums = [[s.splat(0.0); N]; R];
            if self.mode == Mode::Chain {
                for (i, row) in sums.iter_mut().enumerate() {
                    for (v, sum) in row.iter_mut().enumerate() {
                        *sum = s.load_at(c.add(i * stride + v * S::LANES));
                    }
                }
            }
            let (mut a, mut b) = (self.a, self.b);
            for _ in 0..self.k {
                let mut columns = [s.splat(0.0); N];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = s.load_at(b.add(v * S::LANES));
                    s.prefetch(b.wrapping_add(AHEAD * self.b_stride + v * S::LANES));
                }
                for (i, row) in sums.iter_mut().enumerate() {
                    let x = s.splat(*a.add(i * self.row));
                    for (v, sum) in row.iter_mut().enumerate() {
                        *sum = s.fma(x, columns[v], *sum);
                    }
                }
                a = a.wrapping_add(self.step);
                b = b.wrapping_add(self.b_stride);
            }
            for (i, row) in sums.iter().enumerate() {
                for (v, &sum) in row.iter().enumerate() {
                    let place = c.add(i * stride + v * S::LANES);
                    let value = match self.mode {
                        Mode::Add => s.add(s.load_at(place), sum),
                        Mode::Write | Mode::Chain => sum,
                    };
                    s.store_at(place, value);
                }
            }
        }
    }
}
