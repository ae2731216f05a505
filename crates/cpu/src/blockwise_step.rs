//! `blockwise_step`: block by block through a few kilobytes of float32.

use std::sync::OnceLock;

use tunesmith_ops::blockwise_step::{Coding, first_coding, second_coding};
use tunesmith_ops::dynamic_map::midpoints;
use tunesmith_ops::elementwise_step::TensorConstants;
use tunesmith_ops::{BLOCK, BlockwiseRule, BlockwiseStep, BlockwiseTensor, ElementwiseRule, Result};

use crate::Cpu;
use crate::adamw;
use crate::buffer::Buffer;
use crate::elementwise_step::{Rule, Update};
use crate::grad_norm::Norm;
use crate::simd::{Isa, Kernel, Simd};
use crate::views::{bytes_mut, floats, floats_mut};

/// Blocks of one piece of work.
const BLOCKS: usize = 16;

/// Finds codes by the upper half of a float32: no two midpoints share one, so that one comparison is left.
struct Finder {
    /// Midpoints below every number with this upper half.
    below: Vec<u8>,
    /// The midpoint of each code and the next; the last is above everything.
    midpoints: [f32; 256],
    least: u8,
    coding: Coding,
}

impl Finder {
    fn new(coding: Coding) -> Self {
        let of = midpoints(coding.book);
        let below = (0..=u32::from(u16::MAX)).map(|upper| {
            // Of a negative number the bits after its upper half take it further down.
            let (one, other) = (f32::from_bits(upper << 16), f32::from_bits(upper << 16 | 0xffff));
            let least = if one.is_nan() || other.is_nan() { 0.0 } else { one.min(other) };
            of.iter().filter(|&&midpoint| midpoint < least).count() as u8
        });
        let midpoints = std::array::from_fn(|code| of.get(code).copied().unwrap_or(f32::INFINITY));
        Self { below: below.collect(), midpoints, least: coding.least, coding }
    }

    fn first() -> &'static Self {
        static FINDER: OnceLock<Finder> = OnceLock::new();
        FINDER.get_or_init(|| Self::new(first_coding()))
    }

    fn second() -> &'static Self {
        static FINDER: OnceLock<Finder> = OnceLock::new();
        FINDER.get_or_init(|| Self::new(second_coding()))
    }

    /// The values of a block.
    fn decode(&self, codes: &[u8], absmax: f32, values: &mut [f32]) {
        for (value, code) in values.iter_mut().zip(codes) {
            *value = self.coding.book[usize::from(*code)] * absmax;
        }
    }

    /// The codes of a block and its scale.
    fn encode(&self, isa: Isa, values: &[f32], codes: &mut [u8]) -> f32 {
        let most = isa.run(Largest(values));
        if most == 0.0 {
            codes.fill(0);
            return 0.0;
        }
        let inverse = 1.0 / most;
        for (code, &value) in codes.iter_mut().zip(values) {
            let v = value * inverse;
            let below = self.below[(v.to_bits() >> 16) as usize];
            let nearest = below + u8::from(self.midpoints[usize::from(below)] < v);
            *code = if value > 0.0 { nearest.max(self.least) } else { nearest };
        }
        most
    }
}

/// Largest magnitude of a block.
struct Largest<'a>(&'a [f32]);

impl Kernel for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut most = s.splat(0.0);
        for i in (0..self.0.len()).step_by(S::LANES) {
            let x = s.load(&self.0[i..]);
            most = s.max(most, s.max(x, s.sub(s.splat(0.0), x)));
        }
        s.largest(most)
    }
}

/// A piece of one tensor: whole blocks, but for the tensor's last.
struct Piece<'a> {
    parameter: &'a mut [f32],
    gradient: &'a [f32],
    /// Codes and scales of each state.
    states: Vec<(&'a mut [u8], &'a mut [f32])>,
    learning_rate: f64,
    weight_decay: f64,
}

fn run(isa: Isa, rule: &BlockwiseRule, step: u64, factor: f64, mut piece: Piece<'_>) {
    let finders = [Finder::first(), Finder::second()];
    let (learning_rate, weight_decay) = (piece.learning_rate, piece.weight_decay);
    let blocks = piece.parameter.chunks_mut(BLOCK).zip(piece.gradient.chunks(BLOCK));
    for (number, (parameter, gradient)) in blocks.enumerate() {
        let mut values = [[0.0_f32; BLOCK]; 2];
        let (len, range) = (parameter.len(), number * BLOCK..number * BLOCK + parameter.len());
        for (((codes, absmax), finder), values) in piece.states.iter().zip(finders).zip(&mut values) {
            finder.decode(&codes[range.clone()], absmax[number], &mut values[..len]);
        }
        let [first, second] = &mut values;
        match *rule {
            BlockwiseRule::AdamW { beta1, beta2, epsilon } => {
                let step = tunesmith_ops::AdamWStep { step, beta1, beta2, epsilon };
                let constants = adamw::Constants::new(&step, factor, learning_rate, weight_decay);
                let (first, second) = (&mut first[..len], &mut second[..len]);
                isa.run(adamw::Update { constants, parameter, gradient, first, second });
            }
            BlockwiseRule::Lion { beta1, beta2 } => {
                let rule = ElementwiseRule::Lion { beta1, beta2 };
                let tensor = TensorConstants::of(&rule, step, learning_rate, weight_decay, 0.0);
                let states = [&mut first[..len], &mut [], &mut []];
                isa.run(Update { rule: Rule::new(rule, step, factor), tensor, parameter, gradient, states });
            }
        }
        for (((codes, absmax), finder), values) in piece.states.iter_mut().zip(finders).zip(&values) {
            absmax[number] = finder.encode(isa, &values[..len], &mut codes[range.clone()]);
        }
    }
}

impl BlockwiseStep for Cpu {
    fn blockwise_step(
        &self,
        rule: &BlockwiseRule,
        step: u64,
        norm: &Norm,
        tensors: &mut [BlockwiseTensor<'_, Buffer>],
    ) -> Result<()> {
        let Some(factor) = norm.factor() else { return Ok(()) };
        let mut pieces = Vec::new();
        for tensor in tensors {
            tensor.check(rule)?;
            let (learning_rate, weight_decay) = (tensor.learning_rate, tensor.weight_decay);
            let (parameter, gradient) = (floats_mut(tensor.parameter.reborrow()), floats(tensor.gradient));
            let mut states: Vec<_> = tensor
                .states
                .iter_mut()
                .map(|state| {
                    let codes = bytes_mut(state.codes.reborrow()).chunks_mut(BLOCKS * BLOCK);
                    codes.zip(floats_mut(state.absmax.reborrow()).chunks_mut(BLOCKS))
                })
                .collect();
            let parts = parameter.chunks_mut(BLOCKS * BLOCK).zip(gradient.chunks(BLOCKS * BLOCK));
            for (parameter, gradient) in parts {
                let states = states.iter_mut().filter_map(Iterator::next).collect();
                pieces.push(Piece { parameter, gradient, states, learning_rate, weight_decay });
            }
        }
        self.pool.each(pieces.into_iter(), |_, piece| run(self.isa, rule, step, factor, piece))
    }
}
