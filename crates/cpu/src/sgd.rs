//! `sgd`: one pass over parameter, gradient and momentum buffer.

use tunesmith_ops::{Result, Sgd, SgdStep, SgdTensor};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::grad_norm::Norm;
use crate::simd::{Kernel, Simd};
use crate::views::{floats, floats_mut};

/// Elements of one piece of work.
const PIECE: usize = 8192;

/// The constants of one tensor, as float32.
#[derive(Clone, Copy)]
struct Constants {
    scale: f32,
    decay: f32,
    momentum: f32,
    /// The share of the gradient that goes into the buffer.
    taken: f32,
    first: bool,
    nesterov: bool,
    rate: f32,
}

impl Constants {
    fn new(step: &SgdStep, factor: f64, learning_rate: f64, weight_decay: f64) -> Self {
        Self {
            scale: factor as f32,
            decay: weight_decay as f32,
            momentum: step.momentum as f32,
            taken: (1.0 - step.dampening) as f32,
            first: step.step == 1,
            nesterov: step.nesterov,
            rate: learning_rate as f32,
        }
    }
}

/// A piece of one tensor; the buffer is empty where there is no momentum.
struct Update<'a> {
    constants: Constants,
    parameter: &'a mut [f32],
    gradient: &'a [f32],
    buffer: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let c = self.constants;
        for i in (0..self.parameter.len()).step_by(S::LANES) {
            let p = s.load(&self.parameter[i..]);
            let g = s.fma(s.splat(c.decay), p, s.mul(s.load(&self.gradient[i..]), s.splat(c.scale)));
            let mut direction = g;
            if !self.buffer.is_empty() {
                let mut b = g;
                if !c.first {
                    let kept = s.mul(s.load(&self.buffer[i..]), s.splat(c.momentum));
                    b = s.fma(g, s.splat(c.taken), kept);
                }
                s.store(&mut self.buffer[i..], b);
                direction = if c.nesterov { s.fma(s.splat(c.momentum), b, g) } else { b };
            }
            let p = s.sub(p, s.mul(s.splat(c.rate), direction));
            s.store(&mut self.parameter[i..], p);
        }
    }
}

impl Sgd for Cpu {
    fn sgd(&self, step: &SgdStep, norm: &Norm, tensors: &mut [SgdTensor<'_, Buffer>]) -> Result<()> {
        step.check()?;
        let Some(factor) = norm.factor() else { return Ok(()) };
        let mut pieces = Vec::new();
        for tensor in tensors {
            tensor.check(step)?;
            let constants = Constants::new(step, factor, tensor.learning_rate, tensor.weight_decay);
            let (parameter, gradient) = (floats_mut(tensor.parameter.reborrow()), floats(tensor.gradient));
            let buffer = tensor.momentum_buffer.as_mut().map(|view| floats_mut(view.reborrow()));
            let mut buffers = buffer.map(|buffer| buffer.chunks_mut(PIECE));
            for (parameter, gradient) in parameter.chunks_mut(PIECE).zip(gradient.chunks(PIECE)) {
                let buffer = buffers.as_mut().and_then(Iterator::next).unwrap_or_default();
                pieces.push(Update { constants, parameter, gradient, buffer });
            }
        }
        self.pool.each(pieces.into_iter(), |_, piece| self.isa.run(piece))
    }
}
