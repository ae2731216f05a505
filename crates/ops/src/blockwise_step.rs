//! `blockwise_step`: one step of an optimizer whose states are held in eight bits, over many tensors.

use crate::check::Call;
use crate::dtype::DType;
use crate::dynamic_map::{self, CodeBook};
use crate::error::{Error, Result};
use crate::grad_norm::GradNorm;
use crate::memory::{TypedBuffer, View, ViewMut};

/// Elements that share a scale.
pub const BLOCK: usize = 256;

/// What changes an element: the rules of `adamw` and of [`crate::ElementwiseRule::Lion`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BlockwiseRule {
    /// AdamW; states: first moment by the signed code book, second by the unsigned one.
    AdamW {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        epsilon: f64,
    },
    /// Lion; state: the average, by the signed code book.
    Lion {
        /// Share of the average in the direction.
        beta1: f64,
        /// What is kept of the average.
        beta2: f64,
    },
}

impl BlockwiseRule {
    /// Number of states.
    pub fn states(&self) -> usize {
        match self {
            Self::AdamW { .. } => 2,
            Self::Lion { .. } => 1,
        }
    }
}

/// A state in eight bits: value `i` is `book[codes[i]] · absmax[i / 256]`.
#[derive(Debug)]
pub struct Quantized<'a, T> {
    /// uint8, one an element.
    pub codes: ViewMut<'a, T>,
    /// float32, one a block of [`BLOCK`] elements, the last one short.
    pub absmax: ViewMut<'a, T>,
}

/// One trained tensor with its states.
#[derive(Debug)]
pub struct BlockwiseTensor<'a, T> {
    /// The parameter, float32, updated in place.
    pub parameter: ViewMut<'a, T>,
    /// Summed gradient, float32.
    pub gradient: View<'a, T>,
    /// The states of the rule, updated in place.
    pub states: Vec<Quantized<'a, T>>,
    /// Learning rate of the tensor's group.
    pub learning_rate: f64,
    /// Decoupled weight decay of the tensor's group.
    pub weight_decay: f64,
}

impl<T: TypedBuffer> BlockwiseTensor<'_, T> {
    /// Checks the views for a step.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check(&self, rule: &BlockwiseRule) -> Result<()> {
        let (call, len) = (Call::new("blockwise_step", DType::F32), self.parameter.len);
        call.float32("parameter", self.parameter.as_view(), len)?;
        call.float32("gradient", self.gradient, len)?;
        if self.states.len() != rule.states() {
            return Err(Error::argument(call.op, format!("{} states", rule.states()), self.states.len()));
        }
        for state in &self.states {
            state.codes.as_view().check(call.op, "codes", Some(DType::U8), len)?;
            call.float32("absmax", state.absmax.as_view(), len.div_ceil(BLOCK))?;
        }
        Ok(())
    }
}

/// Block-wise optimizers of eight bits (Dettmers et al. 2021, arXiv:2110.02861), as bitsandbytes computes them on a CPU: the states are
/// dequantised, moved in float32, used unquantised, and quantised again. Decay comes before the update on every device (bitsandbytes on a
/// GPU has it after).
///
/// A state is quantised per block over the tensor as it lies in memory: `a` = max |x|, `v = x · (1 / a)`, the code is the number of
/// midpoints of the code book below `v` in float32; a positive second moment has at least code 1, or the next update would divide by
/// nothing. A block of zeros has codes 0 and `a` 0.
///
/// Tolerance f32: parameters 1e-6 relative, scales 1e-6 relative; of the codes one in a thousand may be off by one. Edge sizes: 0, 1, 255, 256,
/// 257, 4096, 4611; several tensors of unequal length.
pub trait BlockwiseStep: GradNorm {
    /// Takes step number `step`, from 1, with every tensor, each gradient multiplied with the factor of `norm` first. Changes
    /// nothing when the norm is not finite.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit.
    fn blockwise_step(
        &self,
        rule: &BlockwiseRule,
        step: u64,
        norm: &Self::Norm,
        tensors: &mut [BlockwiseTensor<'_, Self::Buffer>],
    ) -> Result<()>;
}

/// How a state of a rule is quantised.
#[derive(Debug, Clone, Copy)]
pub struct Coding {
    /// Value of each code.
    pub book: &'static CodeBook,
    /// The least code of a value above 0.
    pub least: u8,
}

/// The first state: any sign, the nearest code.
pub fn first_coding() -> Coding {
    Coding { book: dynamic_map::signed(), least: 0 }
}

/// The second moment: not negative, and never 0 where it is not.
pub fn second_coding() -> Coding {
    Coding { book: dynamic_map::unsigned(), least: 1 }
}

/// The same in float64, written for reading.
pub mod reference {
    use super::{BLOCK, BlockwiseRule, Coding, first_coding, second_coding};
    use crate::dynamic_map::midpoints;

    /// A state in eight bits.
    #[derive(Debug, Clone)]
    pub struct Quantized {
        /// One an element.
        pub codes: Vec<u8>,
        /// One a block.
        pub absmax: Vec<f64>,
    }

    /// One tensor with its states.
    #[derive(Debug, Clone)]
    pub struct Tensor {
        /// The parameter.
        pub parameter: Vec<f64>,
        /// Summed gradient.
        pub gradient: Vec<f64>,
        /// States in the order of the rule.
        pub states: Vec<Quantized>,
        /// Learning rate.
        pub learning_rate: f64,
        /// Decoupled weight decay.
        pub weight_decay: f64,
    }

    /// The values of a state.
    pub fn dequantized(state: &Quantized, coding: Coding) -> Vec<f64> {
        let value = |(i, code): (usize, &u8)| f64::from(coding.book[usize::from(*code)]) * state.absmax[i / BLOCK];
        state.codes.iter().enumerate().map(value).collect()
    }

    /// A state with these values. The comparison with the midpoints is the contract's, in float32.
    pub fn quantized(values: &[f64], coding: Coding) -> Quantized {
        let midpoints = midpoints(coding.book);
        let (mut codes, mut absmax) = (Vec::new(), Vec::new());
        for block in values.chunks(BLOCK) {
            let most = block.iter().fold(0.0_f64, |most, x| most.max(x.abs())) as f32;
            absmax.push(f64::from(most));
            codes.extend(block.iter().map(|&x| {
                if most == 0.0 {
                    return 0;
                }
                let v = x as f32 * (1.0 / most);
                let code = midpoints.iter().filter(|&&midpoint| midpoint < v).count() as u8;
                if x > 0.0 { code.max(coding.least) } else { code }
            }));
        }
        Quantized { codes, absmax }
    }

    /// Steps one tensor in place, its gradient multiplied with `factor` first.
    pub fn blockwise_step(rule: &BlockwiseRule, step: u64, factor: f64, tensor: &mut Tensor) {
        let gradient: Vec<f64> = tensor.gradient.iter().map(|g| g * factor).collect();
        let rate = tensor.learning_rate;
        tensor.parameter.iter_mut().for_each(|p| *p *= 1.0 - rate * tensor.weight_decay);
        let t = step as f64;
        let mut first = dequantized(&tensor.states[0], first_coding());
        match *rule {
            BlockwiseRule::AdamW { beta1, beta2, epsilon } => {
                let mut second = dequantized(&tensor.states[1], second_coding());
                for (i, g) in gradient.iter().enumerate() {
                    first[i] = beta1 * first[i] + (1.0 - beta1) * g;
                    second[i] = beta2 * second[i] + (1.0 - beta2) * g * g;
                    let root = (second[i] / (1.0 - beta2.powf(t))).sqrt() + epsilon;
                    tensor.parameter[i] -= rate / (1.0 - beta1.powf(t)) * first[i] / root;
                }
                tensor.states[1] = quantized(&second, second_coding());
            }
            BlockwiseRule::Lion { beta1, beta2 } => {
                for (i, g) in gradient.iter().enumerate() {
                    let along = beta1 * first[i] + (1.0 - beta1) * g;
                    tensor.parameter[i] -= if along == 0.0 { 0.0 } else { rate * along.signum() };
                    first[i] = beta2 * first[i] + (1.0 - beta2) * g;
                }
            }
        }
        tensor.states[0] = quantized(&first, first_coding());
    }
}
