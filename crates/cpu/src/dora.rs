//! `dora`: row norms panel by panel, and scaling by columns of the activations.

use tunesmith_ops::{Dora, Lora, Matrix, Result, View, ViewMut, dora};

use crate::buffer::Buffer;
use crate::elementwise::COLUMNS;
use crate::lora_matmul::{Adapter, scale_by};
use crate::product::{CHUNK, Left, Mode, Operand, PANEL, Product, Right, Target, Transpose};
use crate::simd::{Kernel, Simd};
use crate::views::{call, floats, floats_mut};
use crate::weight::{Weight, operand};
use crate::{Cpu, scratch};

/// Elements of one piece of work.
const PIECE: usize = 16384;

/// In features of a panel that are adapted at a time: 32 KiB.
const STEPS: usize = 256;

/// `y[i, j] (+)= scale[j] · u[i, j] (+ bias[j])`.
struct Scale<'a> {
    u: &'a [f32],
    scale: &'a [f32],
    bias: Option<&'a [f32]>,
    y: &'a mut [f32],
    accumulate: bool,
}

impl Kernel for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let n = self.scale.len();
        for (u, y) in self.u.chunks_exact(n).zip(self.y.chunks_exact_mut(n)) {
            for j in (0..n).step_by(S::LANES) {
                let mut v = s.mul(s.load(&u[j..]), s.load(&self.scale[j..]));
                if let Some(bias) = self.bias {
                    v = s.add(v, s.load(&bias[j..]));
                }
                if self.accumulate {
                    v = s.add(s.load(&y[j..]), v);
                }
                s.store(&mut y[j..], v);
            }
        }
    }
}

/// `dmagnitude[j] += Σ dy · u / norms[j]` over the columns `column .. column + dmagnitude.len()`, chunk by chunk.
struct MagnitudeGradient<'a> {
    dy: &'a [f32],
    u: &'a [f32],
    norms: &'a [f32],
    column: usize,
    dmagnitude: &'a mut [f32],
}

impl Kernel for MagnitudeGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (n, width) = (self.norms.len(), self.dmagnitude.len());
        for (dy, u) in self.dy.chunks(CHUNK * n).zip(self.u.chunks(CHUNK * n)) {
            let mut sums = [0.0; COLUMNS];
            for (dy, u) in dy.chunks_exact(n).zip(u.chunks_exact(n)) {
                let (dy, u) = (&dy[self.column..][..width], &u[self.column..][..width]);
                for j in (0..width).step_by(S::LANES) {
                    let sum = s.fma(s.load(&dy[j..]), s.load(&u[j..]), s.load(&sums[j..]));
                    s.store(&mut sums[j..], sum);
                }
            }
            let norms = &self.norms[self.column..][..width];
            let targets = self.dmagnitude.iter_mut().zip(sums);
            targets.zip(norms).for_each(|((d, sum), norm)| *d += ratio(sum, *norm));
        }
    }
}

/// `x / norm`, and 0 for the norm of a row of zeros.
#[inline(always)]
fn ratio(x: f32, norm: f32) -> f32 {
    if norm == 0.0 { 0.0 } else { x / norm }
}

fn scales(magnitude: &[f32], norms: &[f32]) -> Vec<f32> {
    magnitude.iter().zip(norms).map(|(m, n)| ratio(*m, *n)).collect()
}

impl Cpu {
    /// The norms of panel `p`: its rows of the weight, with the low-rank product added, squared and summed in float64.
    fn panel_norms(&self, w: Operand<'_>, adapter: &Adapter<'_>, p: usize, norms: &mut [f32]) {
        let (k, r) = (w.k, adapter.r);
        let mut memory = scratch::take(PANEL * (r + 2 * STEPS));
        let (packed, rest) = memory.split_at_mut(PANEL * r);
        let (adapted, unpacked) = rest.split_at_mut(PANEL * STEPS);
        let rows = norms.len();
        let source = Right::new(&adapter.b[p * PANEL * r..], r);
        self.isa.run(Transpose { source, rows, columns: r, target: packed, stride: PANEL, width: PANEL });
        scale_by(adapter.scale, packed);
        let mut squares = [0.0f64; PANEL];
        for first in (0..k).step_by(STEPS) {
            let steps = STEPS.min(k - first);
            let panel = w.panel(self.isa, p, first, first + steps, unpacked);
            for (line, from) in adapted.chunks_exact_mut(PANEL).zip(panel.data.chunks(panel.stride)).take(steps) {
                line[..rows].copy_from_slice(&from[..rows]);
            }
            self.isa.run(Product {
                ahead: &[],
                m: steps,
                n: rows,
                k: r,
                left: Left::transposed(&adapter.a[first..], k),
                right: Right::new(packed, PANEL),
                target: Target::new(adapted, PANEL),
                mode: Mode::Add,
            });
            for line in adapted.chunks_exact(PANEL).take(steps) {
                squares.iter_mut().zip(&line[..rows]).for_each(|(sum, x)| *sum += f64::from(*x) * f64::from(*x));
            }
        }
        norms.iter_mut().zip(squares).for_each(|(norm, square)| *norm = square.sqrt() as f32);
    }
}

impl Dora for Cpu {
    fn dora_norms(
        &self,
        n: usize,
        k: usize,
        w: Matrix<'_, Weight, Buffer>,
        lora: Lora<'_, Buffer>,
        norms: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let call = call("dora_norms");
        dora::check_norms(call, n, k, lora, norms.as_view())?;
        let (w, adapter) = (operand(call, n, k, w)?, Adapter::of(lora));
        let norms = floats_mut(norms);
        self.pool.each(norms.chunks_mut(PANEL), |p, norms| self.panel_norms(w, &adapter, p, norms))
    }

    fn dora_forward(
        &self,
        m: usize,
        n: usize,
        u: View<'_, Buffer>,
        magnitude: View<'_, Buffer>,
        norms: View<'_, Buffer>,
        bias: Option<View<'_, Buffer>>,
        y: ViewMut<'_, Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        dora::check_forward(call("dora_forward"), m, n, u, magnitude, norms, bias, y.as_view())?;
        let u = floats(u);
        let magnitude = floats(magnitude);
        let norms = floats(norms);
        let bias = bias.map(floats);
        let y = floats_mut(y);
        if n == 0 {
            return Ok(());
        }
        let (scale, piece) = (scales(magnitude, norms), (PIECE / n).max(1) * n);
        self.pool.each(u.chunks(piece).zip(y.chunks_mut(piece)), |_, (u, y)| {
            self.isa.run(Scale { u, scale: &scale, bias, y, accumulate });
        })
    }

    fn dora_backward(
        &self,
        m: usize,
        n: usize,
        dy: View<'_, Buffer>,
        u: View<'_, Buffer>,
        magnitude: View<'_, Buffer>,
        norms: View<'_, Buffer>,
        du: ViewMut<'_, Buffer>,
        dmagnitude: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (call, written) = (call("dora_backward"), [&du, &dmagnitude].map(|view| view.as_view()));
        dora::check_backward(call, m, n, dy, u, magnitude, norms, written[0], written[1])?;
        let dy = floats(dy);
        let u = floats(u);
        let magnitude = floats(magnitude);
        let norms = floats(norms);
        let du = floats_mut(du);
        let dmagnitude = floats_mut(dmagnitude);
        if n == 0 {
            return Ok(());
        }
        let (scale, piece) = (scales(magnitude, norms), (PIECE / n).max(1) * n);
        self.pool.each(dy.chunks(piece).zip(du.chunks_mut(piece)), |_, (u, y)| {
            self.isa.run(Scale { u, scale: &scale, bias: None, y, accumulate: false });
        })?;
        self.pool.each(dmagnitude.chunks_mut(COLUMNS), |index, dmagnitude| {
            self.isa.run(MagnitudeGradient { dy, u, norms, column: index * COLUMNS, dmagnitude });
        })
    }
}
