//! Products with a weight, which is expanded part by part where it has four bits.

use tunesmith_ops::nf4::FEW_ROWS;
use tunesmith_ops::{MatmulShape, Result, View, ViewMut};

use super::factors::{Factors, Side};
use super::operand::Operand;
use super::tiled::Product;
use crate::Cuda;
use crate::device::{Address, Buffer, Mode};

/// Parts are expanded in multiples of this many rows or columns.
const PART: usize = 64;

impl Cuda {
    /// `y[m, n] = x · wᵀ (+ bias)`, followed by the steps of an adapter where one is given as (`xa`, `s B`).
    pub(crate) fn times_weight(
        &self,
        shape: MatmulShape,
        x: View<'_, Buffer>,
        w: &Operand<'_>,
        adapter: Option<Factors>,
        bias: Option<View<'_, Buffer>>,
        y: &ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let MatmulShape { m, n, k } = shape;
        let (c, size) = (y.buffer.address_of(y.start), self.dtype.size());
        let bias = bias.map_or(0, |bias| bias.buffer.address_of(bias.start));
        let piece = |b: Side, first: usize, rows: usize| Product {
            mode: Mode::Forward,
            m,
            n: rows,
            main: Factors { a: Side::of(x, k), b, reduced: k },
            tail: adapter.map(|tail| Factors { b: tail.b.skip(first * tail.reduced), ..tail }),
            bias: if bias == 0 { 0 } else { bias + 4 * first as Address },
            c: c + (first * size) as Address,
            c_stride: n,
            alpha: 1.0,
            accumulate: false,
        };
        match w {
            Operand::Dense(b) => self.product(&piece(*b, 0, n)),
            Operand::Rounded(buffer) => self.product(&piece(Side::of(buffer.view(), k), 0, n)),
            Operand::Nf4(matrix) if m <= FEW_ROWS => self.nf4_gemv(shape, Side::of(x, k), matrix, adapter, bias, y),
            Operand::Nf4(matrix) => {
                let step = self.part_size(k);
                for first in (0..n).step_by(step) {
                    let rows = step.min(n - first);
                    let part = self.nf4_part(matrix, self.dtype, first..first + rows, 0..k)?;
                    self.product(&piece(Side::of(part.view(), k), first, rows))?;
                }
                Ok(())
            }
        }
    }

    /// `dx[m, k] (+)= dy[m, n] · w`, followed by the steps of an adapter where one is given as (`dyb`, `A`). A weight in four
    /// bits is expanded by columns, so that nothing is added to a rounded result.
    pub(crate) fn times_weight_turned(
        &self,
        shape: MatmulShape,
        dy: View<'_, Buffer>,
        w: &Operand<'_>,
        adapter: Option<Factors>,
        dx: &ViewMut<'_, Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        let MatmulShape { m, n, k } = shape;
        let (c, size) = (dx.buffer.address_of(dx.start), self.dtype.size());
        let piece = |b: Side, first: usize, columns: usize| Product {
            mode: Mode::Input,
            m,
            n: columns,
            main: Factors { a: Side::of(dy, n), b, reduced: n },
            tail: adapter.map(|tail| Factors { b: tail.b.skip(first), ..tail }),
            bias: 0,
            c: c + (first * size) as Address,
            c_stride: k,
            alpha: 1.0,
            accumulate,
        };
        match w {
            Operand::Dense(b) => self.product(&piece(*b, 0, k)),
            Operand::Rounded(buffer) => self.product(&piece(Side::of(buffer.view(), k), 0, k)),
            Operand::Nf4(matrix) => {
                let step = self.part_size(n);
                for first in (0..k).step_by(step) {
                    let columns = step.min(k - first);
                    let part = self.nf4_part(matrix, self.dtype, 0..n, first..first + columns)?;
                    self.product(&piece(Side::of(part.view(), columns), first, columns))?;
                }
                Ok(())
            }
        }
    }

    /// Rows (or columns) of `length` elements of a weight that are expanded at a time: half of the L2 cache, from which the
    /// product reads them.
    pub(crate) fn part_size(&self, length: usize) -> usize {
        let bytes = (length * self.dtype.size()).max(1);
        (self.attributes().l2_cache / 2 / bytes / PART * PART).max(PART)
    }
}
