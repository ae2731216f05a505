//! `blockwise_step`: the launches of `kernels/blockwise_step.cu`.

use tunesmith_ops::{
    BlockwiseRule, BlockwiseStep, BlockwiseTensor, Host, Memory as _, Quantized, Result, View, dynamic_map,
};

use crate::Cuda;
use crate::device::Buffer;
use crate::grad_norm::Norm;
use crate::tensors::{Tensor, TensorTable};

const THREADS: u32 = 256;

/// Shared memory: the midpoints of both books, and a float for each warp.
const SHARED: usize = 4 * (2 * 256 + 8);

fn tensor(tensor: &BlockwiseTensor<'_, Buffer>, decay: f32, rate: f32) -> Tensor {
    let codes = |state: &Quantized<'_, Buffer>| state.codes.buffer.address_of(state.codes.start);
    let absmax = |state: &Quantized<'_, Buffer>| state.absmax.buffer.address_of(state.absmax.start);
    let (first, second) = (tensor.states.first(), tensor.states.get(1));
    Tensor {
        parameter: tensor.parameter.buffer.address_of(tensor.parameter.start),
        gradient: tensor.gradient.buffer.address_of(tensor.gradient.start),
        first: first.map_or(0, codes),
        second: second.map_or(0, codes),
        third: first.map_or(0, absmax),
        fourth: second.map_or(0, absmax),
        len: tensor.parameter.len,
        decay,
        rate,
        ..Tensor::default()
    }
}

impl BlockwiseStep for Cuda {
    fn blockwise_step(
        &self,
        rule: &BlockwiseRule,
        step: u64,
        norm: &Norm,
        tensors: &mut [BlockwiseTensor<'_, Buffer>],
    ) -> Result<()> {
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        let mut list = Vec::with_capacity(tensors.len());
        for one in tensors {
            one.check(rule)?;
            let decay = (1.0 - one.learning_rate * one.weight_decay) as f32;
            let rate = match *rule {
                BlockwiseRule::AdamW { beta1, .. } => one.learning_rate / correction(beta1),
                BlockwiseRule::Lion { .. } => one.learning_rate,
            };
            list.push(tensor(one, decay, rate as f32));
        }
        let table = TensorTable::new(self, &list)?;
        let values: Vec<f32> = dynamic_map::signed().iter().chain(dynamic_map::unsigned()).copied().collect();
        let books = self.upload(Host::F32(&values))?;
        let kernel = match rule {
            BlockwiseRule::AdamW { .. } => "blockwise_step_adamw",
            BlockwiseRule::Lion { .. } => "blockwise_step_lion",
        };
        let launch = self.launch(kernel).blocks(table.count, THREADS).shared(SHARED);
        let launch = launch.read(table.tensors.view()).read(table.pieces.view()).read(norm.words.view());
        let launch = launch.read(View::new(&books, 0, values.len()));
        match *rule {
            BlockwiseRule::AdamW { beta1, beta2, epsilon } => launch
                .float((1.0 - beta1) as f32)
                .float(beta2 as f32)
                .float((1.0 - beta2) as f32)
                .float((1.0 / correction(beta2).sqrt()) as f32)
                .float(epsilon as f32)
                .run(),
            BlockwiseRule::Lion { beta1, beta2 } => launch
                .float(beta1 as f32)
                .float((1.0 - beta1) as f32)
                .float(beta2 as f32)
                .float((1.0 - beta2) as f32)
                .run(),
        }
    }
}
