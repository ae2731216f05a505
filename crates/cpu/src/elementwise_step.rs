//! `elementwise_step`: one pass over parameter, gradient and states.

use tunesmith_ops::elementwise_step::{MOST_STATES, RuleConstants, TensorConstants};
use tunesmith_ops::{ElementwiseRule, ElementwiseStep, Result, StepTensor};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::grad_norm::Norm;
use crate::simd::{Kernel, Simd};
use crate::views::{floats, floats_mut};

/// Elements of one piece of work.
const PIECE: usize = 8192;

/// What is the same for every tensor of a call.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) rule: ElementwiseRule,
    pub(crate) constants: RuleConstants,
    /// Factor of the gradient.
    pub(crate) scale: f32,
    pub(crate) is_first: bool,
}

impl Rule {
    pub(crate) fn new(rule: ElementwiseRule, step: u64, factor: f64) -> Self {
        Self { rule, constants: RuleConstants::new(&rule, step), scale: factor as f32, is_first: step == 1 }
    }
}

/// A piece of one tensor; a state that the rule does not use is empty.
pub(crate) struct Update<'a> {
    pub(crate) rule: Rule,
    pub(crate) tensor: TensorConstants,
    pub(crate) parameter: &'a mut [f32],
    pub(crate) gradient: &'a [f32],
    pub(crate) states: [&'a mut [f32]; MOST_STATES],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.rule.rule {
            ElementwiseRule::Lion { .. } => self.lion(s),
            ElementwiseRule::ScheduleFreeAdamW { .. } => self.schedule_free(s),
            ElementwiseRule::RmsProp { .. } => self.rms_prop(s),
            ElementwiseRule::Adagrad { .. } => self.adagrad(s),
            ElementwiseRule::AdEmaMix { .. } => self.ademamix(s),
        }
    }
}

/// −1, 0 or 1 of a finite number: twice a factor so large that the smallest number ends beyond 1.
#[inline(always)]
fn sign<S: Simd>(s: S, x: S::V) -> S::V {
    let large = s.splat(1e38);
    let far = s.mul(s.mul(x, large), large);
    s.max(s.splat(-1.0), s.min(s.splat(1.0), far))
}

impl Update<'_> {
    /// The gradient at a place, scaled.
    #[inline(always)]
    fn gradient<S: Simd>(&self, s: S, i: usize) -> S::V {
        s.mul(s.load(&self.gradient[i..]), s.splat(self.rule.scale))
    }

    /// The gradient with the decay added.
    #[inline(always)]
    fn decayed<S: Simd>(&self, s: S, i: usize, p: S::V) -> S::V {
        s.fma(s.splat(self.tensor.decay), p, self.gradient(s, i))
    }

    /// `kept · state + taken · x` of a state, stored.
    #[inline(always)]
    fn average<S: Simd>(&mut self, s: S, state: usize, i: usize, x: S::V) -> S::V {
        let c = self.rule.constants;
        let kept = s.mul(s.load(&self.states[state][i..]), s.splat(c.kept[state]));
        let next = s.fma(x, s.splat(c.taken[state]), kept);
        s.store(&mut self.states[state][i..], next);
        next
    }

    #[inline(always)]
    fn lion<S: Simd>(mut self, s: S) {
        let c = self.rule.constants;
        for i in (0..self.parameter.len()).step_by(S::LANES) {
            let g = self.gradient(s, i);
            let kept = s.mul(s.load(&self.states[0][i..]), s.splat(c.kept[1]));
            let along = sign(s, s.fma(g, s.splat(c.taken[1]), kept));
            self.average(s, 0, i, g);
            let p = s.mul(s.load(&self.parameter[i..]), s.splat(self.tensor.decay));
            s.store(&mut self.parameter[i..], s.sub(p, s.mul(s.splat(self.tensor.rate), along)));
        }
    }

    #[inline(always)]
    fn schedule_free<S: Simd>(mut self, s: S) {
        let (c, tensor) = (self.rule.constants, self.tensor);
        for i in (0..self.parameter.len()).step_by(S::LANES) {
            let (g, y) = (self.gradient(s, i), s.load(&self.parameter[i..]));
            let z = if self.rule.is_first { y } else { s.load(&self.states[0][i..]) };
            let v = self.average(s, 1, i, s.mul(g, g));
            let root = s.fma(s.sqrt(v), s.splat(c.inverse_root), s.splat(c.epsilon));
            let along = s.fma(s.splat(tensor.decay), y, s.div(g, root));
            let nearer = s.fma(s.splat(tensor.average), s.sub(z, y), y);
            s.store(&mut self.parameter[i..], s.fma(s.splat(tensor.step), along, nearer));
            s.store(&mut self.states[0][i..], s.sub(z, s.mul(s.splat(tensor.rate), along)));
        }
    }

    #[inline(always)]
    fn rms_prop<S: Simd>(mut self, s: S) {
        let (c, [_, has_buffer, is_centered]) = (self.rule.constants, self.rule.rule.states());
        for i in (0..self.parameter.len()).step_by(S::LANES) {
            let p = s.load(&self.parameter[i..]);
            let g = self.decayed(s, i, p);
            let mut square = self.average(s, 0, i, s.mul(g, g));
            if is_centered {
                let mean = self.average(s, 2, i, g);
                square = s.max(s.sub(square, s.mul(mean, mean)), s.splat(0.0));
            }
            let mut along = s.div(g, s.add(s.sqrt(square), s.splat(c.epsilon)));
            if has_buffer {
                along = s.fma(s.splat(c.kept[1]), s.load(&self.states[1][i..]), along);
                s.store(&mut self.states[1][i..], along);
            }
            s.store(&mut self.parameter[i..], s.sub(p, s.mul(s.splat(self.tensor.rate), along)));
        }
    }

    #[inline(always)]
    fn adagrad<S: Simd>(self, s: S) {
        let epsilon = s.splat(self.rule.constants.epsilon);
        for i in (0..self.parameter.len()).step_by(S::LANES) {
            let p = s.load(&self.parameter[i..]);
            let g = self.decayed(s, i, p);
            let v = s.fma(g, g, s.load(&self.states[0][i..]));
            s.store(&mut self.states[0][i..], v);
            let along = s.div(g, s.add(s.sqrt(v), epsilon));
            s.store(&mut self.parameter[i..], s.sub(p, s.mul(s.splat(self.tensor.rate), along)));
        }
    }

    #[inline(always)]
    fn ademamix<S: Simd>(mut self, s: S) {
        let c = self.rule.constants;
        for i in (0..self.parameter.len()).step_by(S::LANES) {
            let g = self.gradient(s, i);
            let [fast, slow] = [0, 1].map(|state| self.average(s, state, i, g));
            let v = self.average(s, 2, i, s.mul(g, g));
            let root = s.fma(s.sqrt(v), s.splat(c.inverse_root), s.splat(c.epsilon));
            let along = s.fma(fast, s.splat(c.inverse_first), s.mul(s.splat(c.mix), slow));
            let p = s.mul(s.load(&self.parameter[i..]), s.splat(self.tensor.decay));
            let p = s.sub(p, s.mul(s.splat(self.tensor.rate), s.div(along, root)));
            s.store(&mut self.parameter[i..], p);
        }
    }
}

impl ElementwiseStep for Cpu {
    fn elementwise_step(
        &self,
        rule: &ElementwiseRule,
        step: u64,
        norm: &Norm,
        tensors: &mut [StepTensor<'_, Buffer>],
    ) -> Result<()> {
        let Some(factor) = norm.factor() else { return Ok(()) };
        let of_call = Rule::new(*rule, step, factor);
        let mut pieces = Vec::new();
        for tensor in tensors {
            tensor.check(rule)?;
            let constants = TensorConstants::new(rule, step, tensor);
            let (parameter, gradient) = (floats_mut(tensor.parameter.reborrow()), floats(tensor.gradient));
            let mut states = tensor
                .states
                .each_mut()
                .map(|state| state.as_mut().map(|view| floats_mut(view.reborrow()).chunks_mut(PIECE)));
            for (parameter, gradient) in parameter.chunks_mut(PIECE).zip(gradient.chunks(PIECE)) {
                let states = states.each_mut().map(|state| state.as_mut().and_then(Iterator::next).unwrap_or_default());
                pieces.push(Update { rule: of_call, tensor: constants, parameter, gradient, states });
            }
        }
        self.pool.each(pieces.into_iter(), |_, piece| self.isa.run(piece))
    }
}
