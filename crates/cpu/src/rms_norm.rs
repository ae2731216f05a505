//! `rms_norm`: one row at a time, and the gradient of the scale by columns.

use tunesmith_ops::{NormShape, Result, RmsNorm, View, ViewMut};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::elementwise::COLUMNS;
use crate::product::CHUNK;
use crate::simd::{Kernel, Simd};
use crate::views::{call, floats, floats_mut};

/// Elements of one piece of work.
const PIECE: usize = 16384;

struct Forward<'a> {
    shape: NormShape,
    x: &'a [f32],
    scale: &'a [f32],
    y: &'a mut [f32],
    rstd: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let NormShape { d, eps, offset, .. } = self.shape;
        let offset = s.splat(offset);
        let rows = self.x.chunks_exact(d).zip(self.y.chunks_exact_mut(d));
        for ((x, y), rstd) in rows.zip(self.rstd) {
            let mut squares = s.splat(0.0);
            for i in (0..d).step_by(S::LANES) {
                let v = s.load(&x[i..]);
                squares = s.fma(v, v, squares);
            }
            *rstd = 1.0 / (s.sum(squares) / d as f32 + eps).sqrt();
            let factor = s.splat(*rstd);
            for i in (0..d).step_by(S::LANES) {
                let scale = s.add(s.load(&self.scale[i..]), offset);
                let v = s.mul(s.mul(s.load(&x[i..]), factor), scale);
                s.store(&mut y[i..], v);
            }
        }
    }
}

/// `sum += x` row by row, and the norm of each row while it lies in the cache.
struct AddForward<'a> {
    shape: NormShape,
    x: &'a [f32],
    sum: &'a mut [f32],
    scale: &'a [f32],
    y: &'a mut [f32],
    rstd: &'a mut [f32],
}

impl Kernel for AddForward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (shape, scale, d) = (self.shape, self.scale, self.shape.d);
        let rows = self.x.chunks_exact(d).zip(self.sum.chunks_exact_mut(d)).zip(self.y.chunks_exact_mut(d));
        for (((x, sum), y), rstd) in rows.zip(self.rstd.chunks_exact_mut(1)) {
            for i in (0..d).step_by(S::LANES) {
                let v = s.add(s.load(&sum[i..]), s.load(&x[i..]));
                s.store(&mut sum[i..], v);
            }
            Forward { shape, x: sum, scale, y, rstd }.run(s);
        }
    }
}

struct Backward<'a> {
    shape: NormShape,
    dy: &'a [f32],
    x: &'a [f32],
    scale: &'a [f32],
    rstd: &'a [f32],
    dx: &'a mut [f32],
    accumulate: bool,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let NormShape { d, offset, .. } = self.shape;
        let offset = s.splat(offset);
        let rows = self.dy.chunks_exact(d).zip(self.x.chunks_exact(d));
        for (((dy, x), dx), &rstd) in rows.zip(self.dx.chunks_exact_mut(d)).zip(self.rstd) {
            let mut dot = s.splat(0.0);
            for i in (0..d).step_by(S::LANES) {
                let g = s.mul(s.load(&dy[i..]), s.add(s.load(&self.scale[i..]), offset));
                dot = s.fma(g, s.load(&x[i..]), dot);
            }
            let mean = s.sum(dot) / d as f32;
            let along = s.splat(-rstd * rstd * rstd * mean);
            let factor = s.splat(rstd);
            for i in (0..d).step_by(S::LANES) {
                let g = s.mul(s.load(&dy[i..]), s.add(s.load(&self.scale[i..]), offset));
                let mut v = s.fma(s.load(&x[i..]), along, s.mul(g, factor));
                if self.accumulate {
                    v = s.add(s.load(&dx[i..]), v);
                }
                s.store(&mut dx[i..], v);
            }
        }
    }
}

/// `dscale[j] += Σ dy · x · rstd` over the columns `column .. column + dscale.len()`, chunk by chunk.
struct ScaleGradient<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    rstd: &'a [f32],
    d: usize,
    column: usize,
    dscale: &'a mut [f32],
}

impl Kernel for ScaleGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (d, width) = (self.d, self.dscale.len());
        let chunks = self.dy.chunks(CHUNK * d).zip(self.x.chunks(CHUNK * d));
        for ((dy, x), rstd) in chunks.zip(self.rstd.chunks(CHUNK)) {
            let mut sums = [0.0; COLUMNS];
            for ((dy, x), &rstd) in dy.chunks_exact(d).zip(x.chunks_exact(d)).zip(rstd) {
                let (dy, x) = (&dy[self.column..][..width], &x[self.column..][..width]);
                for i in (0..width).step_by(S::LANES) {
                    let normed = s.mul(s.load(&x[i..]), s.splat(rstd));
                    let sum = s.fma(s.load(&dy[i..]), normed, s.load(&sums[i..]));
                    s.store(&mut sums[i..], sum);
                }
            }
            self.dscale.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum);
        }
    }
}

impl RmsNorm for Cpu {
    fn rms_norm_forward(
        &self,
        shape: NormShape,
        x: View<'_, Buffer>,
        scale: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
        rstd: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let d = shape.d;
        shape.check_forward(call("rms_norm_forward"), x, None, scale, y.as_view(), rstd.as_view())?;
        let x = floats(x);
        let scale = floats(scale);
        let y = floats_mut(y);
        let rstd = floats_mut(rstd);
        if d == 0 {
            return Ok(());
        }
        let rows = (PIECE / d).max(1);
        let parts = x.chunks(rows * d).zip(y.chunks_mut(rows * d)).zip(rstd.chunks_mut(rows));
        self.pool.each(parts, |_, ((x, y), rstd)| {
            self.isa.run(Forward { shape, x, scale, y, rstd });
        })
    }

    fn rms_norm_add_forward(
        &self,
        shape: NormShape,
        x: View<'_, Buffer>,
        sum: ViewMut<'_, Buffer>,
        scale: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
        rstd: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let d = shape.d;
        let (call, old) = (call("rms_norm_add_forward"), Some(sum.as_view()));
        shape.check_forward(call, x, old, scale, y.as_view(), rstd.as_view())?;
        let x = floats(x);
        let sum = floats_mut(sum);
        let scale = floats(scale);
        let y = floats_mut(y);
        let rstd = floats_mut(rstd);
        if d == 0 {
            return Ok(());
        }
        let rows = (PIECE / d).max(1);
        let written = sum.chunks_mut(rows * d).zip(y.chunks_mut(rows * d)).zip(rstd.chunks_mut(rows));
        self.pool.each(x.chunks(rows * d).zip(written), |_, (x, ((sum, y), rstd))| {
            self.isa.run(AddForward { shape, x, sum, scale, y, rstd });
        })
    }

    fn rms_norm_backward(
        &self,
        shape: NormShape,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        scale: View<'_, Buffer>,
        rstd: View<'_, Buffer>,
        dx: ViewMut<'_, Buffer>,
        accumulate: bool,
        dscale: Option<ViewMut<'_, Buffer>>,
    ) -> Result<()> {
        let d = shape.d;
        let (call, sums) = (call("rms_norm_backward"), dscale.as_ref().map(ViewMut::as_view));
        shape.check_backward(call, dy, x, scale, rstd, dx.as_view(), sums)?;
        let dy = floats(dy);
        let x = floats(x);
        let scale = floats(scale);
        let rstd = floats(rstd);
        let dx = floats_mut(dx);
        let dscale = dscale.map(floats_mut);
        if d == 0 {
            return Ok(());
        }
        let rows = (PIECE / d).max(1);
        let read = dy.chunks(rows * d).zip(x.chunks(rows * d)).zip(rstd.chunks(rows));
        self.pool.each(read.zip(dx.chunks_mut(rows * d)), |_, (((dy, x), rstd), dx)| {
            self.isa.run(Backward { shape, dy, x, scale, rstd, dx, accumulate });
        })?;
        let Some(dscale) = dscale else { return Ok(()) };
        self.pool.each(dscale.chunks_mut(COLUMNS), |index, dscale| {
            self.isa.run(ScaleGradient { dy, x, rstd, d, column: index * COLUMNS, dscale });
        })
    }
}
