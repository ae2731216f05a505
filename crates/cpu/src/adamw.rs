//! `adamw`: one pass over parameter, gradient and moments.

use tunesmith_ops::{AdamW, AdamWStep, AdamWTensor, Result};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::grad_norm::Norm;
use crate::simd::{Kernel, Simd};
use crate::views::{floats, floats_mut};

/// Elements of one piece of work.
const PIECE: usize = 8192;

/// The constants of one tensor, as float32.
#[derive(Clone, Copy)]
pub(crate) struct Constants {
    decay: f32,
    scale: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    inverse_root: f32,
    epsilon: f32,
    rate: f32,
}

impl Constants {
    pub(crate) fn new(step: &AdamWStep, factor: f64, learning_rate: f64, weight_decay: f64) -> Self {
        let t = step.step as f64;
        let (correction1, correction2) = (1.0 - step.beta1.powf(t), 1.0 - step.beta2.powf(t));
        Self {
            decay: (1.0 - learning_rate * weight_decay) as f32,
            scale: factor as f32,
            one_minus_beta1: (1.0 - step.beta1) as f32,
            beta2: step.beta2 as f32,
            one_minus_beta2: (1.0 - step.beta2) as f32,
            inverse_root: (1.0 / correction2.sqrt()) as f32,
            epsilon: step.epsilon as f32,
            rate: (learning_rate / correction1) as f32,
        }
    }
}

/// A piece of one tensor.
pub(crate) struct Update<'a> {
    pub(crate) constants: Constants,
    pub(crate) parameter: &'a mut [f32],
    pub(crate) gradient: &'a [f32],
    pub(crate) first: &'a mut [f32],
    pub(crate) second: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let c = self.constants;
        for i in (0..self.parameter.len()).step_by(S::LANES) {
            let g = s.mul(s.load(&self.gradient[i..]), s.splat(c.scale));
            let m = s.load(&self.first[i..]);
            let m = s.fma(s.sub(g, m), s.splat(c.one_minus_beta1), m);
            let v = s.mul(s.load(&self.second[i..]), s.splat(c.beta2));
            let v = s.fma(s.mul(g, g), s.splat(c.one_minus_beta2), v);
            let root = s.fma(s.sqrt(v), s.splat(c.inverse_root), s.splat(c.epsilon));
            let p = s.mul(s.load(&self.parameter[i..]), s.splat(c.decay));
            let p = s.sub(p, s.mul(s.splat(c.rate), s.div(m, root)));
            s.store(&mut self.parameter[i..], p);
            s.store(&mut self.first[i..], m);
            s.store(&mut self.second[i..], v);
        }
    }
}

impl AdamW for Cpu {
    fn adamw(&self, step: &AdamWStep, norm: &Norm, tensors: &mut [AdamWTensor<'_, Buffer>]) -> Result<()> {
        let Some(factor) = norm.factor() else { return Ok(()) };
        let mut pieces = Vec::new();
        for tensor in tensors {
            tensor.check()?;
            let constants = Constants::new(step, factor, tensor.learning_rate, tensor.weight_decay);
            let parameter = floats_mut(tensor.parameter.reborrow());
            let gradient = floats(tensor.gradient);
            let first = floats_mut(tensor.first_moment.reborrow());
            let second = floats_mut(tensor.second_moment.reborrow());
            let parts = parameter
                .chunks_mut(PIECE)
                .zip(gradient.chunks(PIECE))
                .zip(first.chunks_mut(PIECE).zip(second.chunks_mut(PIECE)));
            pieces.extend(parts.map(|((parameter, gradient), (first, second))| Update {
                constants,
                parameter,
                gradient,
                first,
                second,
            }));
        }
        self.pool.each(pieces.into_iter(), |_, piece| self.isa.run(piece))
    }
}
