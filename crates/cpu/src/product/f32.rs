//! The one product everything is made of: `c[m, n] = a[m, k] · b[k, n]` on one thread, register tile by register tile.
//!
//! Every element of `c` is one chain of fused multiply-adds along `k` in index order, so neither the tile it falls into
//! nor its neighbours change its bits. A longer axis is cut by the caller into several products.

use std::ops::Range;

use super::operand::{Left, Right};
use super::target::Target;
use crate::scratch::{self, Scratch};
use crate::simd::{Kernel, Simd};

/// Steps between a prefetch and the use of the line: more cycles than the main memory needs.
const AHEAD: usize = 24;

/// Elements between rows that fall into the same few sets of the nearest cache (4 KiB on every machine of today): such
/// rows are copied before they are read for the second time.
pub(crate) const COLLIDING: usize = 1024;

/// The largest register tile of any instruction set.
const MOST_ROWS: usize = 14;
const MOST_COLUMNS: usize = 32;

/// Elements of a cache line.
const LINE: usize = 16;

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
    /// Memory that a later product needs, asked for in passing: one piece a register tile, one line a step.
    pub(crate) ahead: &'a [&'a [f32]],
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
        let last = (n - 1) / (2 * S::LANES) * 2 * S::LANES;
        let width = if n - last > S::LANES { 2 * S::LANES } else { S::LANES };
        let Right { data, stride } = self.right;
        // Columns beyond `n` may read whatever lies there, their results are dropped; they may not read beyond the end.
        let copy;
        let last_right = if k == 0 || (k - 1) * stride + last + width <= data.len() {
            Right::new(data.get(last..).unwrap_or_default(), stride)
        } else {
            copy = copy_columns(self.right, (k, n - last), last, width);
            Right::new(&copy, width)
        };
        self.strips(s, last, width, last_right);
    }
}

impl Product<'_> {
    /// All rows in strips of nearly equal height; the last column group, from `last` on, reads `last_right`.
    #[inline(always)]
    fn strips<S: Simd>(&mut self, s: S, last: usize, width: usize, last_right: Right<'_>) {
        let (k, Left { data, row, step }) = (self.k, self.left);
        let count = self.m.div_ceil(S::ROWS);
        let packs = step == 1 && row > 0 && row.is_multiple_of(COLLIDING) && last >= 4 * S::LANES;
        let stride = k.next_multiple_of(16) + 16;
        let mut copy = packs.then(|| scratch::take(S::ROWS * stride));
        let mut full = [0.0; MOST_ROWS * MOST_COLUMNS];
        for strip in 0..count {
            let rows = strip * self.m / count..(strip + 1) * self.m / count;
            let mut left = Left { data: data.get(rows.start * row..).unwrap_or_default(), ..self.left };
            if let Some(copy) = &mut copy {
                for (target, i) in copy.chunks_exact_mut(stride).zip(rows.clone()) {
                    target[..k].copy_from_slice(&data[i * row..i * row + k]);
                    // The next strip's rows lie pages away, where the hardware does not look ahead.
                    for line in (0..k).step_by(16) {
                        s.prefetch(data.as_ptr().wrapping_add((i + rows.len()) * row + line));
                    }
                }
                left = Left::rows(copy, stride);
            }
            self.strip(s, (strip, rows), left, (last, width, last_right), &mut full);
        }
    }

    /// All columns of one strip. Where the last columns of a tile do not exist, `full` takes its place.
    #[inline(always)]
    fn strip<S: Simd>(
        &mut self,
        s: S,
        (strip, rows): (usize, Range<usize>),
        left: Left<'_>,
        (last, last_width, last_right): (usize, usize, Right<'_>),
        full: &mut [f32; MOST_ROWS * MOST_COLUMNS],
    ) {
        let groups = self.n.div_ceil(2 * S::LANES);
        for group in 0..groups {
            let column = group * 2 * S::LANES;
            let ahead = self.ahead.get(strip * groups + group).copied().unwrap_or_default();
            let (width, right) = if column < last {
                (2 * S::LANES, Right::new(self.right.data.get(column..).unwrap_or_default(), self.right.stride))
            } else {
                (last_width, last_right)
            };
            let tile = Tile {
                k: self.k,
                a: left.data.as_ptr(),
                row: left.row,
                step: left.step,
                b: right.data.as_ptr(),
                b_stride: right.stride,
                mode: self.mode,
                ahead,
            };
            let mut target = self.target.part(rows.start, column);
            let live = width.min(self.n - column);
            if live < width {
                for (i, row) in full.chunks_exact_mut(width).take(rows.len()).enumerate() {
                    row[..live].copy_from_slice(target.row(i, live));
                }
            }
            let (c, stride) = if live < width { (full.as_mut_ptr(), width) } else { (target.pointer, target.stride) };
            // SAFETY: `run` has checked that the rows and columns lie inside the operands; the full tile has room for all.
            unsafe { tile.rows(s, rows.len(), width, c, stride) };
            if live < width {
                for (i, row) in full.chunks_exact(width).take(rows.len()).enumerate() {
                    target.row(i, live).copy_from_slice(&row[..live]);
                }
            }
        }
    }
}

/// The columns from `first` on, of which `n` exist, filled up to `width` with zeros.
fn copy_columns(right: Right<'_>, (k, n): (usize, usize), first: usize, width: usize) -> Scratch {
    let mut copy = scratch::take(k * width);
    for (t, row) in copy.chunks_exact_mut(width).enumerate() {
        let from = t * right.stride + first;
        row[..n].copy_from_slice(&right.data[from..from + n]);
        row[n..].fill(0.0);
    }
    copy
}

/// What all register tiles of a strip share.
struct Tile<'a> {
    k: usize,
    a: *const f32,
    row: usize,
    step: usize,
    b: *const f32,
    b_stride: usize,
    mode: Mode,
    ahead: &'a [f32],
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

impl Tile<'_> {
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
            let (mut a, mut b, mut left) = (self.a, self.b, self.k);
            let lines = self.ahead.len() / LINE;
            // With nothing to ask for, a line that is there anyway: an address without memory costs a page walk.
            let (mut ahead, mut asked) = (if lines == 0 { b } else { self.ahead.as_ptr() }, 0);
            // Rows that lie side by side take four steps at a time: moving their pointers would cost as much as the sums.
            while self.step == 1 && left >= 4 {
                s.prefetch(ahead);
                asked += 1;
                ahead = ahead.wrapping_add(if asked < lines { LINE } else { 0 });
                self.step(s, &mut sums, a, b);
                self.step(s, &mut sums, a.add(1), b.add(self.b_stride));
                self.step(s, &mut sums, a.add(2), b.add(2 * self.b_stride));
                self.step(s, &mut sums, a.add(3), b.add(3 * self.b_stride));
                a = a.wrapping_add(4);
                b = b.wrapping_add(4 * self.b_stride);
                left -= 4;
            }
            for _ in 0..left {
                self.step(s, &mut sums, a, b);
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

    /// One step of the chains of `R` rows of `N` vectors.
    ///
    /// # Safety
    /// `R` rows of the left operand from `a` on and `N` vectors at `b` must be readable.
    #[inline(always)]
    unsafe fn step<S: Simd, const R: usize, const N: usize>(
        &self,
        s: S,
        sums: &mut [[S::V; N]; R],
        a: *const f32,
        b: *const f32,
    ) {
        // SAFETY: readable by the caller's promise.
        unsafe {
            let mut columns = [s.splat(0.0); N];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = s.load_at(b.add(v * S::LANES));
                if (v * S::LANES).is_multiple_of(LINE) {
                    s.prefetch(b.wrapping_add(AHEAD * self.b_stride + v * S::LANES));
                }
            }
            // Three rows are one address with a multiple of the stride; left alone, the compiler makes a chain of additions.
            for (group, rows) in sums.chunks_mut(3).enumerate() {
                let base = s.opaque(a.add(3 * group * self.row));
                for (i, row) in rows.iter_mut().enumerate() {
                    let x = s.splat(*base.add(i * self.row));
                    for (v, sum) in row.iter_mut().enumerate() {
                        *sum = s.fma(x, columns[v], *sum);
                    }
                }
            }
        }
    }
}
