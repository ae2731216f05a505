//! `swiglu`: the gated activation, element by element.

use tunesmith_ops::{Result, Swiglu, View, ViewMut};

use crate::memory::Buffer;
use crate::simd::{Kernel, Simd};
use crate::{Cpu, check};

/// Elements of one piece of work.
const PIECE: usize = 8192;

/// `1 / (1 + e^−g)`.
#[inline(always)]
fn sigmoid<S: Simd>(s: S, g: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, s.exp(s.sub(s.splat(0.0), g))))
}

struct Forward<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for i in (0..self.y.len()).step_by(S::LANES) {
            let g = s.load(&self.gate[i..]);
            let silu = s.mul(g, sigmoid(s, g));
            s.store(&mut self.y[i..], s.mul(silu, s.load(&self.up[i..])));
        }
    }
}

struct Backward<'a> {
    dy: &'a [f32],
    gate: &'a mut [f32],
    up: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    /// `silu'(g) = σ · (1 + g · (1 − σ))`.
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let one = s.splat(1.0);
        for i in (0..self.dy.len()).step_by(S::LANES) {
            let (dy, g, up) = (s.load(&self.dy[i..]), s.load(&self.gate[i..]), s.load(&self.up[i..]));
            let sigma = sigmoid(s, g);
            let slope = s.mul(sigma, s.fma(g, s.sub(one, sigma), one));
            s.store(&mut self.gate[i..], s.mul(s.mul(dy, up), slope));
            s.store(&mut self.up[i..], s.mul(dy, s.mul(g, sigma)));
        }
    }
}

impl Swiglu for Cpu {
    fn swiglu_forward(&self, gate: View<'_, Buffer>, up: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        let (op, len) = ("swiglu_forward", y.len);
        let gate = check::floats(op, "gate", gate, len)?;
        let up = check::floats(op, "up", up, len)?;
        let y = check::floats_mut(op, "y", y, len)?;
        let parts = gate.chunks(PIECE).zip(up.chunks(PIECE)).zip(y.chunks_mut(PIECE));
        self.pool.each(parts, |_, ((gate, up), y)| self.isa.run(Forward { gate, up, y }))
    }

    fn swiglu_backward(&self, dy: View<'_, Buffer>, gate: ViewMut<'_, Buffer>, up: ViewMut<'_, Buffer>) -> Result<()> {
        let (op, len) = ("swiglu_backward", dy.len);
        let dy = check::floats(op, "dy", dy, len)?;
        let gate = check::floats_mut(op, "gate", gate, len)?;
        let up = check::floats_mut(op, "up", up, len)?;
        let parts = dy.chunks(PIECE).zip(gate.chunks_mut(PIECE)).zip(up.chunks_mut(PIECE));
        self.pool.each(parts, |_, ((dy, gate), up)| self.isa.run(Backward { dy, gate, up }))
    }
}
