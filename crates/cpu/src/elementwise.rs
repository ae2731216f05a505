//! `elementwise`: sums of whole tensors and of rows.

use tunesmith_ops::{Elementwise, Result, View, ViewMut};

use crate::matmul::CHUNK;
use crate::memory::Buffer;
use crate::simd::{Kernel, Simd};
use crate::{Cpu, check};

/// Elements of one piece of an addition.
const PIECE: usize = 16384;

/// Columns of one piece of a sum over rows.
pub(crate) const COLUMNS: usize = 64;

/// `y += x`.
struct Add<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for i in (0..self.y.len()).step_by(S::LANES) {
            let sum = s.add(s.load(&self.y[i..]), s.load(&self.x[i..]));
            s.store(&mut self.y[i..], sum);
        }
    }
}

/// `y[j] += Σ x[row, column + j]`, chunk by chunk.
struct SumColumns<'a> {
    x: &'a [f32],
    stride: usize,
    column: usize,
    y: &'a mut [f32],
}

impl Kernel for SumColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.y.len();
        for chunk in self.x.chunks(CHUNK * self.stride) {
            let mut sums = [0.0; COLUMNS];
            for row in chunk.chunks_exact(self.stride) {
                let row = &row[self.column..self.column + width];
                for i in (0..width).step_by(S::LANES) {
                    let sum = s.add(s.load(&sums[i..]), s.load(&row[i..]));
                    s.store(&mut sums[i..], sum);
                }
            }
            self.y.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum);
        }
    }
}

impl Elementwise for Cpu {
    fn add(&self, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        let len = y.len;
        let x = check::floats("add", "x", x, len)?;
        let y = check::floats_mut("add", "y", y, len)?;
        let pieces = y.chunks_mut(PIECE).zip(x.chunks(PIECE));
        self.pool.each(pieces, |_, (y, x)| self.isa.run(Add { x, y }))
    }

    fn sum_rows(&self, m: usize, n: usize, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        let x = check::floats("sum_rows", "x", x, m * n)?;
        let y = check::floats_mut("sum_rows", "y", y, n)?;
        self.pool.each(y.chunks_mut(COLUMNS), |index, y| {
            self.isa.run(SumColumns { x, stride: n, column: index * COLUMNS, y });
        })
    }
}
