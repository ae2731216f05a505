//! `elementwise`: sums of whole tensors and of rows, multiples, and columns copied between matrices.

use tunesmith_ops::{Columns, Elementwise, Result, View, ViewMut, elementwise};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::product::CHUNK;
use crate::simd::{Kernel, Simd};
use crate::views::{call, floats, floats_mut};

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

/// `y *= factor`.
struct Scale<'a> {
    factor: f32,
    y: &'a mut [f32],
}

impl Kernel for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factor = s.splat(self.factor);
        for i in (0..self.y.len()).step_by(S::LANES) {
            let v = s.mul(s.load(&self.y[i..]), factor);
            s.store(&mut self.y[i..], v);
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
        elementwise::check_add(call("add"), x, y.as_view())?;
        let x = floats(x);
        let y = floats_mut(y);
        let pieces = y.chunks_mut(PIECE).zip(x.chunks(PIECE));
        self.pool.each(pieces, |_, (y, x)| self.isa.run(Add { x, y }))
    }

    fn scale(&self, factor: f32, y: ViewMut<'_, Buffer>) -> Result<()> {
        call("scale").float32_or_activations("y", y.as_view(), y.len)?;
        let y = floats_mut(y);
        self.pool.each(y.chunks_mut(PIECE), |_, y| self.isa.run(Scale { factor, y }))
    }

    fn copy_columns(
        &self,
        m: usize,
        width: usize,
        x: View<'_, Buffer>,
        from: Columns,
        y: ViewMut<'_, Buffer>,
        to: Columns,
    ) -> Result<()> {
        let call = call("copy_columns");
        elementwise::check_copy_columns(m, width, x, from, y.as_view(), to)?;
        call.activations("x", x, x.len)?;
        let x = floats(x);
        let y = floats_mut(y);
        if width == 0 {
            return Ok(());
        }
        let rows = (PIECE / width).max(1);
        let parts = y.chunks_mut(rows * to.stride).zip(x.chunks(rows * from.stride));
        self.pool.each(parts, |_, (y, x)| {
            for (y, x) in y.chunks_exact_mut(to.stride).zip(x.chunks_exact(from.stride)) {
                y[to.start..to.start + width].copy_from_slice(&x[from.start..from.start + width]);
            }
        })
    }

    fn sum_rows(&self, m: usize, n: usize, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        elementwise::check_sum_rows(call("sum_rows"), m, n, x, y.as_view())?;
        let x = floats(x);
        let y = floats_mut(y);
        self.pool.each(y.chunks_mut(COLUMNS), |index, y| {
            self.isa.run(SumColumns { x, stride: n, column: index * COLUMNS, y });
        })
    }
}
