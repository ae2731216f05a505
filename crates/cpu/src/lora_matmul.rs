//! `lora_matmul`: a product with a low-rank adapter, whose own product continues the chains of the larger one.

use tunesmith_ops::{Lora, LoraMatmul, MatmulShape, Matrix, Result, View, ViewMut};

use crate::buffer::Buffer;
use crate::product::{CHUNK, Left, Mode, PANEL, Product, Right, SharedMatrix, Tail, Target, Transpose, block};
use crate::views::{call, floats, floats_mut};
use crate::weight::{Weight, operand};
use crate::{Cpu, scratch};

/// Tokens of one piece of a product with the rank as its width.
const TOKENS: usize = 56;

/// Features of one piece of an adapter gradient.
const FEATURES: usize = 64;

/// An adapter whose views were checked.
pub(crate) struct Adapter<'a> {
    pub(crate) r: usize,
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [f32],
    pub(crate) scale: f32,
}

impl<'a> Adapter<'a> {
    pub(crate) fn of(lora: Lora<'a, Buffer>) -> Self {
        Self { r: lora.r, a: floats(lora.a), b: floats(lora.b), scale: lora.scale }
    }
}

pub(crate) fn scale_by(scale: f32, x: &mut [f32]) {
    for v in x {
        *v *= scale;
    }
}

impl Cpu {
    /// `z[m, r] = scale · x[m, k] · right[k, r]`, in pieces of tokens.
    fn to_rank(
        &self,
        (m, r, k): (usize, usize, usize),
        x: &[f32],
        right: Right<'_>,
        scale: f32,
        z: &mut [f32],
    ) -> Result<()> {
        let pieces = z.chunks_mut((TOKENS * r).max(1));
        self.pool.each(pieces, |index, piece| {
            let first = index * TOKENS;
            self.isa.run(Product {
                ahead: &[],
                m: TOKENS.min(m - first),
                n: r,
                k,
                left: Left::rows(&x[first * k..], k),
                right,
                target: Target::new(piece, r),
                mode: Mode::Write,
            });
            scale_by(scale, piece);
        })
    }

    /// `db[n, r] += scale · Σ over chunks of dyᵀ xa`.
    fn grad_b(
        &self,
        (m, r, n): (usize, usize, usize),
        dy: &[f32],
        xa: &[f32],
        scale: f32,
        db: &mut [f32],
    ) -> Result<()> {
        let pieces = db.chunks_mut((FEATURES * r).max(1));
        self.pool.each(pieces, |index, piece| {
            let column = index * FEATURES;
            let mut sum = scratch::take(piece.len());
            for first in (0..m).step_by(CHUNK) {
                self.isa.run(Product {
                    ahead: &[],
                    m: FEATURES.min(n - column),
                    n: r,
                    k: CHUNK.min(m - first),
                    left: Left::transposed(&dy[first * n + column..], n),
                    right: Right::new(&xa[first * r..], r),
                    target: Target::new(&mut sum, r),
                    mode: Mode::Write,
                });
                piece.iter_mut().zip(&*sum).for_each(|(d, s)| *d += scale * s);
            }
        })
    }

    /// `da[r, k] += Σ over chunks of dybᵀ x`.
    fn grad_a(&self, (m, r, k): (usize, usize, usize), dyb: &[f32], x: &[f32], da: &mut [f32]) -> Result<()> {
        let da = SharedMatrix::new(da, k);
        self.pool.run(k.div_ceil(FEATURES), |index| {
            let columns = block(k, FEATURES, index);
            // SAFETY: every task has its own columns of `da`.
            let mut target = unsafe { da.tile(0, columns.start) };
            for first in (0..m).step_by(CHUNK) {
                self.isa.run(Product {
                    ahead: &[],
                    m: r,
                    n: columns.len(),
                    k: CHUNK.min(m - first),
                    left: Left::transposed(&dyb[first * r..], r),
                    right: Right::new(&x[first * k + columns.start..], k),
                    target: target.reborrow(),
                    mode: Mode::Add,
                });
            }
        })
    }
}

impl LoraMatmul for Cpu {
    fn lora_forward(
        &self,
        shape: MatmulShape,
        x: View<'_, Buffer>,
        dropped: Option<View<'_, Buffer>>,
        w: Matrix<'_, Weight, Buffer>,
        bias: Option<View<'_, Buffer>>,
        lora: Lora<'_, Buffer>,
        xa: ViewMut<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (call, MatmulShape { m, n, k }) = (call("lora_forward"), shape);
        lora.check_forward(call, shape, x, dropped, bias, xa.as_view(), y.as_view())?;
        let x = floats(x);
        let dropped = dropped.map(floats);
        let w = operand(call, n, k, w)?;
        let bias = bias.map(floats);
        let Adapter { r, a, b, scale } = Adapter::of(lora);
        let xa = floats_mut(xa);
        let y = floats_mut(y);
        let mut packed = scratch::take(k * r);
        self.isa.run(Transpose {
            source: Right::new(a, k),
            rows: r,
            columns: k,
            target: &mut packed,
            stride: r,
            width: r,
        });
        self.to_rank((m, r, k), dropped.unwrap_or(x), Right::new(&packed, r), 1.0, xa)?;
        let tail = Tail {
            left: xa,
            r,
            pack: &|p, packed| {
                let rows = PANEL.min(n - p * PANEL);
                let source = Right::new(&b[p * PANEL * r..], r);
                self.isa.run(Transpose { source, rows, columns: r, target: packed, stride: PANEL, width: PANEL });
                scale_by(scale, packed);
            },
        };
        self.forward_tiles(shape, x, w, bias, Some(&tail), y)
    }

    fn lora_backward(
        &self,
        shape: MatmulShape,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        xa: View<'_, Buffer>,
        w: Matrix<'_, Weight, Buffer>,
        lora: Lora<'_, Buffer>,
        dyb: ViewMut<'_, Buffer>,
        da: ViewMut<'_, Buffer>,
        db: ViewMut<'_, Buffer>,
        dx: Option<ViewMut<'_, Buffer>>,
        accumulate: bool,
    ) -> Result<()> {
        let (call, MatmulShape { m, n, k }) = (call("lora_backward"), shape);
        let written = [&dyb, &da, &db].map(|view| view.as_view());
        lora.check_backward(call, shape, [dy, x, xa], written, dx.as_ref().map(ViewMut::as_view))?;
        let dy = floats(dy);
        let x = floats(x);
        let w = operand(call, n, k, w)?;
        let Adapter { r, a, b, scale } = Adapter::of(lora);
        let xa = floats(xa);
        let dyb = floats_mut(dyb);
        let da = floats_mut(da);
        let db = floats_mut(db);
        let dx = dx.map(floats_mut);
        self.to_rank((m, r, n), dy, Right::new(b, r), scale, dyb)?;
        self.grad_b((m, r, n), dy, xa, scale, db)?;
        self.grad_a((m, r, k), dyb, x, da)?;
        let Some(dx) = dx else { return Ok(()) };
        let tail = Tail {
            left: dyb,
            r,
            pack: &|g, packed| {
                let width = PANEL.min(k - g * PANEL);
                for (row, line) in packed.chunks_exact_mut(PANEL).zip(a.chunks_exact(k)) {
                    row[..width].copy_from_slice(&line[g * PANEL..g * PANEL + width]);
                }
            },
        };
        self.backward_tiles(shape, dy, w, Some(&tail), dx, accumulate)
    }
}
