//! What optimizers that go by a rule of `elementwise_step` have in common.

use tunesmith_ops::{Backend, ElementwiseRule, Result, StepTensor};

use super::trained::Trained;

/// A step of tensors whose slots are the states that the rule uses, in its order.
pub(super) fn step_by_rule<B: Backend>(
    backend: &B,
    rule: &ElementwiseRule,
    step: u64,
    norm: &B::Norm,
    tensors: Vec<Trained<'_, B::Buffer>>,
) -> Result<()> {
    let mut tensors: Vec<_> = tensors.into_iter().map(|trained| tensor(rule, trained)).collect();
    backend.elementwise_step(rule, step, norm, &mut tensors)
}

fn tensor<'a, T>(rule: &ElementwiseRule, trained: Trained<'a, T>) -> StepTensor<'a, T> {
    let mut slots = trained.slots.into_iter();
    StepTensor {
        parameter: trained.parameter,
        gradient: trained.gradient,
        states: rule.states().map(|used| if used { slots.next() } else { None }),
        learning_rate: trained.rate,
        weight_decay: trained.decay,
        average: trained.average,
    }
}
