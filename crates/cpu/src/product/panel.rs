//! A weight matrix as products read it, whatever its storage: panels of 32 out features, or column groups of 32.

use std::ops::Range;

use half::bf16;
use tunesmith_ops::Nf4Matrix;

use super::nf4::Decode;
use super::operand::Right;
use super::transpose::Transpose;
use crate::scratch;
use crate::simd::{Isa, Kernel, Simd};

/// Out features of a panel: two AVX-512 vectors.
pub(crate) const PANEL: usize = 32;

/// Rows of an output tile: enough to pay for unpacking a panel, few enough to keep both threads busy.
pub(crate) const TILE_ROWS: usize = 256;

/// The same of a product with four-bit weights: a part that was turned into float32 serves all of them.
const NF4_TILE_ROWS: usize = 512;

/// A weight matrix as products read it, whatever its storage.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Panels(&'a [f32]),
    Bf16Panels(&'a [u16]),
    Rows(&'a [f32]),
    Nf4(Nf4Matrix<'a>),
}

/// A weight matrix with its sizes.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) source: Source<'a>,
}

impl<'a> Operand<'a> {
    /// Rows of an output tile: the more a panel costs to unpack, the more rows must use it.
    pub(crate) fn tile_rows(&self) -> usize {
        if matches!(self.source, Source::Nf4(_)) { NF4_TILE_ROWS } else { TILE_ROWS }
    }

    /// Panel `p`, steps `first .. end` of `k`, as `[end − first][32]`; `scratch` has room for it.
    pub(crate) fn panel<'s>(&self, isa: Isa, p: usize, first: usize, end: usize, scratch: &'s mut [f32]) -> Right<'s>
    where
        'a: 's,
    {
        let range = (p * self.k + first) * PANEL..(p * self.k + end) * PANEL;
        match self.source {
            Source::Panels(data) => Right::new(&data[range], PANEL),
            Source::Bf16Panels(data) => {
                let target = &mut scratch[..(end - first) * PANEL];
                isa.run(Widen { source: &data[range], target });
                Right::new(target, PANEL)
            }
            Source::Rows(data) => {
                let rows = PANEL.min(self.n - p * PANEL);
                let source = Right::new(&data[p * PANEL * self.k + first..], self.k);
                isa.run(Transpose { source, rows, columns: end - first, target: scratch, stride: PANEL, width: PANEL });
                Right::new(scratch, PANEL)
            }
            Source::Nf4(matrix) => {
                let (rows, columns) = (PANEL.min(self.n - p * PANEL), end - first);
                // Rows a whole number of pages apart would push each other out of the cache.
                let stride = columns + 16;
                let mut wide = scratch::take(rows * stride);
                isa.run(Decode::part(matrix, p * PANEL * self.k + first, self.k, columns, (&mut wide, stride)));
                let source = Right::new(&wide, stride);
                isa.run(Transpose { source, rows, columns, target: scratch, stride: PANEL, width: PANEL });
                Right::new(scratch, PANEL)
            }
        }
    }

    /// The column groups `groups`, of 32 each, of the rows `first .. end`, as a matrix of as many columns; columns beyond
    /// `k` are zero. `first` is a multiple of 32; `scratch` has room for the rows rounded up to 32.
    pub(crate) fn columns<'s>(
        &self,
        isa: Isa,
        groups: &Range<usize>,
        first: usize,
        end: usize,
        scratch: &'s mut [f32],
    ) -> Right<'s> {
        let stride = self.columns_stride(groups.len());
        if let Source::Nf4(matrix) = self.source {
            let column = groups.start * PANEL;
            let (from, live) = (first * self.k + column, (groups.len() * PANEL).min(self.k - column));
            let target = &mut scratch[..(end - first) * stride];
            isa.run(Decode::part(matrix, from, self.k, live, (target, stride)));
            return Right::new(scratch, stride);
        }
        for (place, g) in groups.clone().enumerate() {
            let live = PANEL.min(self.k - g * PANEL);
            if let Source::Rows(data) = self.source {
                for (row, r) in scratch.chunks_exact_mut(stride).zip(first..end) {
                    let (from, row) = (r * self.k + g * PANEL, &mut row[place * PANEL..][..PANEL]);
                    row[..live].copy_from_slice(&data[from..from + live]);
                    row[live..].fill(0.0);
                }
                continue;
            }
            let mut wide = [0.0; PANEL * PANEL];
            for (block, p) in scratch.chunks_exact_mut(PANEL * stride).zip(first / PANEL..end.div_ceil(PANEL)) {
                let from = (p * self.k + g * PANEL) * PANEL;
                let range = from..from + live * PANEL;
                let square = match self.source {
                    Source::Panels(data) | Source::Rows(data) => &data[range],
                    Source::Nf4(_) => &[],
                    Source::Bf16Panels(data) => {
                        isa.run(Widen { source: &data[range], target: &mut wide });
                        &wide[..live * PANEL]
                    }
                };
                let (source, target) = (Right::new(square, PANEL), &mut block[place * PANEL..]);
                isa.run(Transpose { source, rows: live, columns: PANEL, target, stride, width: PANEL });
            }
        }
        Right::new(scratch, stride)
    }

    /// Elements between the rows that [`Operand::columns`] gives of so many groups. Rows of decoded codes that lie 256 bytes or
    /// a multiple apart would share a few sets of the nearest cache.
    pub(crate) fn columns_stride(&self, groups: usize) -> usize {
        let collides = matches!(self.source, Source::Nf4(_)) && groups.is_multiple_of(2);
        groups * PANEL + if collides { 16 } else { 0 }
    }

    /// What [`Operand::columns`] will read for the rows `rows`, in squares of 32: to be asked for ahead of time.
    pub(crate) fn blocks(&self, groups: &Range<usize>, rows: Range<usize>) -> Vec<&'a [f32]> {
        let Source::Panels(data) = self.source else { return Vec::new() };
        let panels = rows.start / PANEL..rows.end.div_ceil(PANEL);
        let place = |p: usize, g: usize| (p * self.k + self.k.min(g * PANEL)) * PANEL;
        let squares = panels.flat_map(|p| groups.clone().map(move |g| place(p, g)..place(p, g + 1)));
        squares.map(|square| &data[square]).collect()
    }

    /// Row `r`, row-major.
    pub(crate) fn read_row(&self, isa: Isa, r: usize, target: &mut [f32]) {
        let (p, lane) = (r / PANEL, r % PANEL);
        let panel = p * self.k * PANEL..(p + 1) * self.k * PANEL;
        match self.source {
            Source::Rows(data) => target.copy_from_slice(&data[r * self.k..(r + 1) * self.k]),
            Source::Nf4(matrix) => {
                isa.run(Decode::part(matrix, r * self.k, self.k, self.k, (target, self.k)));
            }
            Source::Panels(data) => {
                let lanes = data[panel].iter().skip(lane).step_by(PANEL);
                target.iter_mut().zip(lanes).for_each(|(t, &x)| *t = x);
            }
            Source::Bf16Panels(data) => {
                let lanes = data[panel].iter().skip(lane).step_by(PANEL);
                target.iter_mut().zip(lanes).for_each(|(t, &x)| *t = bf16::from_bits(x).to_f32());
            }
        }
    }
}

/// bfloat16 bit patterns to float32.
struct Widen<'a> {
    source: &'a [u16],
    target: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (t, &x) in self.target.iter_mut().zip(self.source) {
            *t = f32::from_bits(u32::from(x) << 16);
        }
    }
}
