//! `swiglu`: the gated activation, element by element.

use tunesmith_ops::{Activation, Result, Swiglu, View, ViewMut, swiglu};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::simd::{Kernel, Simd};
use crate::views::{call, floats, floats_mut};

/// Elements of one piece of work.
const PIECE: usize = 8192;

/// `1 / (1 + e^−g)`.
#[inline(always)]
fn sigmoid<S: Simd>(s: S, g: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, s.exp(s.sub(s.splat(0.0), g))))
}

/// Value and slope of the gate's function at `g`. Both are `g · σ(u)`, whose slope is `σ · (1 + g · u' · (1 − σ))`: for
/// GELU `(1 + tanh x) / 2 = σ(2x)`.
#[inline(always)]
fn activated<S: Simd>(s: S, activation: Activation, g: S::V) -> (S::V, S::V) {
    let one = s.splat(1.0);
    let (u, inner) = match activation {
        Activation::Silu => (g, g),
        Activation::GeluTanh => {
            // 2 √(2/π), and the same times 0.044715.
            let (linear, cubic) = (s.splat(1.595_769_2), s.splat(0.071_354_816));
            let square = s.mul(g, g);
            let slope = s.fma(s.mul(square, s.splat(3.0)), cubic, linear);
            (s.mul(g, s.fma(square, cubic, linear)), s.mul(g, slope))
        }
    };
    let sigma = sigmoid(s, u);
    (s.mul(g, sigma), s.mul(sigma, s.fma(inner, s.sub(one, sigma), one)))
}

struct Forward<'a> {
    activation: Activation,
    gate: &'a [f32],
    up: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for i in (0..self.y.len()).step_by(S::LANES) {
            let (value, _) = activated(s, self.activation, s.load(&self.gate[i..]));
            s.store(&mut self.y[i..], s.mul(value, s.load(&self.up[i..])));
        }
    }
}

struct Backward<'a> {
    activation: Activation,
    dy: &'a [f32],
    gate: &'a mut [f32],
    up: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for i in (0..self.dy.len()).step_by(S::LANES) {
            let (dy, g, up) = (s.load(&self.dy[i..]), s.load(&self.gate[i..]), s.load(&self.up[i..]));
            let (value, slope) = activated(s, self.activation, g);
            s.store(&mut self.gate[i..], s.mul(s.mul(dy, up), slope));
            s.store(&mut self.up[i..], s.mul(dy, value));
        }
    }
}

impl Swiglu for Cpu {
    fn swiglu_forward(
        &self,
        activation: Activation,
        gate: View<'_, Buffer>,
        up: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        swiglu::check_forward(call("swiglu_forward"), gate, up, y.as_view())?;
        let gate = floats(gate);
        let up = floats(up);
        let y = floats_mut(y);
        let parts = gate.chunks(PIECE).zip(up.chunks(PIECE)).zip(y.chunks_mut(PIECE));
        self.pool.each(parts, |_, ((gate, up), y)| self.isa.run(Forward { activation, gate, up, y }))
    }

    fn swiglu_backward(
        &self,
        activation: Activation,
        dy: View<'_, Buffer>,
        gate: ViewMut<'_, Buffer>,
        up: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        swiglu::check_backward(call("swiglu_backward"), dy, gate.as_view(), up.as_view())?;
        let dy = floats(dy);
        let gate = floats_mut(gate);
        let up = floats_mut(up);
        let parts = dy.chunks(PIECE).zip(gate.chunks_mut(PIECE)).zip(up.chunks_mut(PIECE));
        self.pool.each(parts, |_, ((dy, gate), up)| self.isa.run(Backward { activation, dy, gate, up }))
    }
}
