//! `elementwise_step`: one step of an optimizer that changes each element by itself, over many tensors.

use crate::check::Call;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::grad_norm::GradNorm;
use crate::memory::{TypedBuffer, View, ViewMut};

/// How an element changes, with η the tensor's learning rate and λ its weight decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ElementwiseRule {
    /// Lion (Chen et al. 2023, arXiv:2302.06675): `p ← p (1 − ηλ) − η · sign(β₁ m + (1 − β₁) g)`, then `m ← β₂ m + (1 − β₂) g`.
    /// State `m`.
    Lion {
        /// β₁, share of the average in the direction.
        beta1: f64,
        /// β₂, what is kept of the average.
        beta2: f64,
    },
    /// Schedule-free AdamW (Defazio et al. 2024, arXiv:2405.15682) as the package schedulefree has it. The parameter holds `y`:
    /// `v ← β₂ v + (1 − β₂) g²`, `d = g / (√(v / (1 − β₂ᵗ)) + ε) + λ y`, `y ← y + c (z − y) + η (β₁ (1 − c) − 1) d`, `z ← z − η d`
    /// with `c` the tensor's [`StepTensor::average`]. On the first step `z` is `y`. States `z`, `v`.
    ScheduleFreeAdamW {
        /// β₁, how far `y` lies from `z` towards the average.
        beta1: f64,
        /// β₂, what is kept of the second moment.
        beta2: f64,
        /// ε, added to the root of the second moment.
        epsilon: f64,
    },
    /// RMSprop (Hinton 2012, lecture 6e) as `torch.optim.RMSprop`: `g ← g + λ p`, `v ← α v + (1 − α) g²`, `u = g / (√v + ε)`, `p ← p − η u`.
    /// Centred: `a ← α a + (1 − α) g`, and `√(v − a²)` in place of `√v`, where rounding leaves nothing below 0. With momentum:
    /// `b ← momentum · b + u`, and `b` in place of `u`. States `v`, then `b` and `a` where they are used.
    RmsProp {
        /// What is kept of the second moment.
        alpha: f64,
        /// Added to the root.
        epsilon: f64,
        /// What is kept of the buffer; 0: there is none.
        momentum: f64,
        /// The second moment is taken about the mean.
        centered: bool,
    },
    /// Adagrad (Duchi et al. 2011) as `torch.optim.Adagrad`: `g ← g + λ p`, `v ← v + g²`,
    /// `p ← p − η / (1 + (t − 1) · decay) · g / (√v + ε)`. State `v`.
    Adagrad {
        /// Added to the root.
        epsilon: f64,
        /// How fast the rate falls with the number of the step.
        lr_decay: f64,
    },
    /// `AdEMAMix` (Pagliardini et al. 2024, arXiv:2409.03137) as bitsandbytes: `a ← β₁ a + (1 − β₁) g`, `b ← β₃ b + (1 − β₃) g`,
    /// `v ← β₂ v + (1 − β₂) g²`, `p ← p (1 − ηλ) − η (a / (1 − β₁ᵗ) + α b) / (√v / √(1 − β₂ᵗ) + ε)`. States `a`, `b`, `v`.
    AdEmaMix {
        /// β₁, what is kept of the fast average.
        beta1: f64,
        /// β₂, what is kept of the second moment.
        beta2: f64,
        /// β₃ of this step, what is kept of the slow average.
        beta3: f64,
        /// α of this step, weight of the slow average.
        alpha: f64,
        /// ε, added to the root of the second moment.
        epsilon: f64,
    },
}

/// Number of the most states that a rule has.
pub const MOST_STATES: usize = 3;

impl ElementwiseRule {
    /// Which of the states the rule uses; the others are absent.
    pub fn states(&self) -> [bool; MOST_STATES] {
        match *self {
            Self::Lion { .. } | Self::Adagrad { .. } => [true, false, false],
            Self::ScheduleFreeAdamW { .. } => [true, true, false],
            Self::RmsProp { momentum, centered, .. } => [true, momentum != 0.0, centered],
            Self::AdEmaMix { .. } => [true; 3],
        }
    }
}

/// One trained tensor with its states; views of one length, all float32.
#[derive(Debug)]
pub struct StepTensor<'a, T> {
    /// The parameter, updated in place.
    pub parameter: ViewMut<'a, T>,
    /// Summed gradient.
    pub gradient: View<'a, T>,
    /// States in the order of the rule, updated in place; none where the rule does not use it.
    pub states: [Option<ViewMut<'a, T>>; MOST_STATES],
    /// Learning rate of the tensor's group.
    pub learning_rate: f64,
    /// Weight decay of the tensor's group.
    pub weight_decay: f64,
    /// Share of the newest point in the average of schedule-free rules; of no meaning for others.
    pub average: f64,
}

impl<T: TypedBuffer> StepTensor<'_, T> {
    /// Checks the views for a step: float32, of the parameter's length, the states that the rule uses and no other.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check(&self, rule: &ElementwiseRule) -> Result<()> {
        let (call, len) = (Call::new("elementwise_step", DType::F32), self.parameter.len);
        call.float32("parameter", self.parameter.as_view(), len)?;
        call.float32("gradient", self.gradient, len)?;
        for (number, (state, used)) in self.states.iter().zip(rule.states()).enumerate() {
            if state.is_some() != used {
                let expected = format!("{} state {number} for this rule", if used { "a" } else { "no" });
                return Err(Error::argument(call.op, expected, if used { "none" } else { "one" }));
            }
            call.float32_if_given("state", state.as_ref().map(ViewMut::as_view), len)?;
        }
        Ok(())
    }
}

/// One step by one of the rules of [`ElementwiseRule`].
///
/// Tolerance f32: parameters 1e-6 relative, states 2e-6: the momentum of RMSprop about the mean comes after some fifteen roundings of 6e-8,
/// two of them of a difference. Edge sizes: 0, 1, 15, 16, 17, 4099; several tensors of unequal length.
pub trait ElementwiseStep: GradNorm {
    /// Takes step number `step`, from 1, with every tensor, each gradient multiplied with the factor of `norm` first. Changes
    /// nothing when the norm is not finite.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a state is missing or in vain, or a tensor's views differ in length.
    fn elementwise_step(
        &self,
        rule: &ElementwiseRule,
        step: u64,
        norm: &Self::Norm,
        tensors: &mut [StepTensor<'_, Self::Buffer>],
    ) -> Result<()>;
}

/// The numbers of a rule at a step, as float32: what every backend computes with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuleConstants {
    /// What is kept of each state, in the order of the states.
    pub kept: [f32; MOST_STATES],
    /// One less each of them, rounded once.
    pub taken: [f32; MOST_STATES],
    /// β₁ of the direction of Lion, weight of the slow average of `AdEMAMix`.
    pub mix: f32,
    /// Factor of the root of the second moment.
    pub inverse_root: f32,
    /// Added to the root.
    pub epsilon: f32,
    /// Factor of the fast average of `AdEMAMix`.
    pub inverse_first: f32,
}

impl RuleConstants {
    /// The constants of a step.
    pub fn new(rule: &ElementwiseRule, step: u64) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        let of = |kept: [f64; MOST_STATES], mix: f64, inverse_root: f64, epsilon: f64| Self {
            kept: kept.map(|kept| kept as f32),
            taken: kept.map(|kept| (1.0 - kept) as f32),
            mix: mix as f32,
            inverse_root: inverse_root as f32,
            epsilon: epsilon as f32,
            inverse_first: 1.0,
        };
        match *rule {
            ElementwiseRule::Lion { beta1, beta2 } => of([beta2, beta1, 0.0], 0.0, 1.0, 0.0),
            ElementwiseRule::ScheduleFreeAdamW { beta1, beta2, epsilon } => {
                of([0.0, beta2, 0.0], beta1, 1.0 / correction(beta2).sqrt(), epsilon)
            }
            ElementwiseRule::RmsProp { alpha, epsilon, momentum, .. } => {
                of([alpha, momentum, alpha], 0.0, 1.0, epsilon)
            }
            ElementwiseRule::Adagrad { epsilon, .. } => of([1.0, 0.0, 0.0], 0.0, 1.0, epsilon),
            ElementwiseRule::AdEmaMix { beta1, beta2, beta3, alpha, epsilon } => Self {
                inverse_first: (1.0 / correction(beta1)) as f32,
                ..of([beta1, beta3, beta2], alpha, 1.0 / correction(beta2).sqrt(), epsilon)
            },
        }
    }
}

/// The numbers of a tensor at a step, as float32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorConstants {
    /// Learning rate.
    pub rate: f32,
    /// What is kept of the parameter where decay is decoupled; weight decay where it is added to the gradient.
    pub decay: f32,
    /// Share of `z` in the average of schedule-free rules.
    pub average: f32,
    /// Factor of the direction in `y` of schedule-free rules.
    pub step: f32,
}

impl TensorConstants {
    /// The constants of a tensor.
    pub fn new<T>(rule: &ElementwiseRule, step: u64, tensor: &StepTensor<'_, T>) -> Self {
        Self::of(rule, step, tensor.learning_rate, tensor.weight_decay, tensor.average)
    }

    /// The same of a tensor that is given by its numbers.
    pub fn of(rule: &ElementwiseRule, step: u64, learning_rate: f64, weight_decay: f64, average: f64) -> Self {
        let decoupled = (1.0 - learning_rate * weight_decay) as f32;
        let coupled = weight_decay as f32;
        let (rate, decay, along) = match *rule {
            ElementwiseRule::Lion { .. } | ElementwiseRule::AdEmaMix { .. } => (learning_rate, decoupled, 0.0),
            ElementwiseRule::RmsProp { .. } => (learning_rate, coupled, 0.0),
            ElementwiseRule::Adagrad { lr_decay, .. } => {
                (learning_rate / (1.0 + (step.saturating_sub(1)) as f64 * lr_decay), coupled, 0.0)
            }
            ElementwiseRule::ScheduleFreeAdamW { beta1, .. } => {
                (learning_rate, coupled, learning_rate * (beta1 * (1.0 - average) - 1.0))
            }
        };
        Self { rate: rate as f32, decay, average: average as f32, step: along as f32 }
    }
}

/// The same in float64, written for reading.
pub mod reference {
    use super::ElementwiseRule;

    /// One tensor with its states.
    #[derive(Debug, Clone)]
    pub struct Tensor {
        /// The parameter.
        pub parameter: Vec<f64>,
        /// Summed gradient.
        pub gradient: Vec<f64>,
        /// States in the order of the rule; those that it does not use have no meaning.
        pub states: [Vec<f64>; super::MOST_STATES],
        /// Learning rate.
        pub learning_rate: f64,
        /// Weight decay.
        pub weight_decay: f64,
        /// Share of `z` in the average of schedule-free rules.
        pub average: f64,
    }

    /// −1, 0 or 1.
    fn sign(x: f64) -> f64 {
        if x == 0.0 { 0.0 } else { x.signum() }
    }

    /// Steps one tensor in place, its gradient multiplied with `factor` first.
    pub fn elementwise_step(rule: &ElementwiseRule, step: u64, factor: f64, tensor: &mut Tensor) {
        let (rate, decay, c) = (tensor.learning_rate, tensor.weight_decay, tensor.average);
        let [first, second, third] = &mut tensor.states;
        let t = step as f64;
        for (i, (p, gradient)) in tensor.parameter.iter_mut().zip(&tensor.gradient).enumerate() {
            let (a, b, d) = (&mut first[i], &mut second[i], &mut third[i]);
            let g = gradient * factor;
            match *rule {
                ElementwiseRule::Lion { beta1, beta2 } => {
                    *p = *p * (1.0 - rate * decay) - rate * sign(beta1 * *a + (1.0 - beta1) * g);
                    *a = beta2 * *a + (1.0 - beta2) * g;
                }
                ElementwiseRule::ScheduleFreeAdamW { beta1, beta2, epsilon } => {
                    let z = if step == 1 { *p } else { *a };
                    *b = beta2 * *b + (1.0 - beta2) * g * g;
                    let along = g / ((*b / (1.0 - beta2.powf(t))).sqrt() + epsilon) + decay * *p;
                    *p += c * (z - *p) + rate * (beta1 * (1.0 - c) - 1.0) * along;
                    *a = z - rate * along;
                }
                ElementwiseRule::RmsProp { alpha, epsilon, momentum, centered } => {
                    let g = g + decay * *p;
                    *a = alpha * *a + (1.0 - alpha) * g * g;
                    let mut square = *a;
                    if centered {
                        *d = alpha * *d + (1.0 - alpha) * g;
                        square = (*a - *d * *d).max(0.0);
                    }
                    let mut along = g / (square.sqrt() + epsilon);
                    if momentum != 0.0 {
                        *b = momentum * *b + along;
                        along = *b;
                    }
                    *p -= rate * along;
                }
                ElementwiseRule::Adagrad { epsilon, lr_decay } => {
                    let g = g + decay * *p;
                    *a += g * g;
                    *p -= rate / (1.0 + (t - 1.0) * lr_decay) * g / (a.sqrt() + epsilon);
                }
                ElementwiseRule::AdEmaMix { beta1, beta2, beta3, alpha, epsilon } => {
                    *a = beta1 * *a + (1.0 - beta1) * g;
                    *b = beta3 * *b + (1.0 - beta3) * g;
                    *d = beta2 * *d + (1.0 - beta2) * g * g;
                    let root = (*d / (1.0 - beta2.powf(t))).sqrt() + epsilon;
                    let along = (*a / (1.0 - beta1.powf(t)) + alpha * *b) / root;
                    *p = *p * (1.0 - rate * decay) - rate * along;
                }
            }
        }
    }
}
