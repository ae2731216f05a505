//! `elementwise_step`: the launch of `kernels/elementwise_step.cu`.

use tunesmith_ops::elementwise_step::{RuleConstants, TensorConstants};
use tunesmith_ops::{ElementwiseRule, ElementwiseStep, Host, Memory as _, Result, StepTensor, View, ViewMut};

use crate::Cuda;
use crate::device::Buffer;
use crate::grad_norm::Norm;
use crate::tensors::{Tensor, TensorTable};

const THREADS: u32 = 256;

/// The words that the kernel reads: `Constants` of its page.
fn words(rule: &ElementwiseRule, step: u64) -> [i32; 14] {
    let RuleConstants { kept, taken, mix, inverse_root, epsilon, inverse_first } = RuleConstants::new(rule, step);
    let number = match rule {
        ElementwiseRule::Lion { .. } => 0,
        ElementwiseRule::ScheduleFreeAdamW { .. } => 1,
        ElementwiseRule::RmsProp { .. } => 2,
        ElementwiseRule::Adagrad { .. } => 3,
        ElementwiseRule::AdEmaMix { .. } => 4,
    };
    let [_, has_buffer, is_centered] = rule.states();
    let flags = [number, i32::from(step == 1), i32::from(has_buffer), i32::from(is_centered)];
    let floats = kept.into_iter().chain(taken).chain([mix, inverse_root, epsilon, inverse_first]);
    let mut words = [0; 14];
    words.iter_mut().zip(floats.map(|x| x.to_bits() as i32).chain(flags)).for_each(|(word, value)| *word = value);
    words
}

impl ElementwiseStep for Cuda {
    fn elementwise_step(
        &self,
        rule: &ElementwiseRule,
        step: u64,
        norm: &Norm,
        tensors: &mut [StepTensor<'_, Buffer>],
    ) -> Result<()> {
        let mut list = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            tensor.check(rule)?;
            let address = |view: &ViewMut<'_, Buffer>| view.buffer.address_of(view.start);
            let [first, second, third] = tensor.states.each_ref().map(|state| state.as_ref().map_or(0, address));
            let TensorConstants { rate, decay, average, step } = TensorConstants::new(rule, step, tensor);
            list.push(Tensor {
                parameter: address(&tensor.parameter),
                gradient: tensor.gradient.buffer.address_of(tensor.gradient.start),
                first,
                second,
                third,
                len: tensor.parameter.len,
                decay,
                rate,
                average,
                step,
                ..Tensor::default()
            });
        }
        let table = TensorTable::new(self, &list)?;
        let constants = self.upload(Host::I32(&words(rule, step)))?;
        let launch = self.launch("elementwise_step").blocks(table.count, THREADS);
        let launch = launch.read(table.tensors.view()).read(table.pieces.view()).read(norm.words.view());
        launch.read(View::new(&constants, 0, 14)).run()
    }
}
