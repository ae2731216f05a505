//! `adamw`: the launch of `kernels/adamw.cu`.

use tunesmith_ops::{AdamW, AdamWStep, AdamWTensor, Result};

use crate::Cuda;
use crate::device::Buffer;
use crate::grad_norm::Norm;
use crate::tensors::{Tensor, TensorTable};

const THREADS: u32 = 256;

impl AdamW for Cuda {
    fn adamw(&self, step: &AdamWStep, norm: &Norm, tensors: &mut [AdamWTensor<'_, Buffer>]) -> Result<()> {
        let t = step.step as f64;
        let (correction1, correction2) = (1.0 - step.beta1.powf(t), 1.0 - step.beta2.powf(t));
        let mut list = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            tensor.check()?;
            list.push(Tensor {
                parameter: tensor.parameter.buffer.address_of(tensor.parameter.start),
                gradient: tensor.gradient.buffer.address_of(tensor.gradient.start),
                first: tensor.first_moment.buffer.address_of(tensor.first_moment.start),
                second: tensor.second_moment.buffer.address_of(tensor.second_moment.start),
                len: tensor.parameter.len,
                decay: (1.0 - tensor.learning_rate * tensor.weight_decay) as f32,
                rate: (tensor.learning_rate / correction1) as f32,
                ..Tensor::default()
            });
        }
        let table = TensorTable::new(self, &list)?;
        let launch = self.launch("adamw").blocks(table.count, THREADS);
        let launch = launch.read(table.tensors.view()).read(table.pieces.view()).read(norm.words.view());
        let launch = launch.float((1.0 - step.beta1) as f32).float(step.beta2 as f32);
        let launch = launch.float((1.0 - step.beta2) as f32).float((1.0 / correction2.sqrt()) as f32);
        launch.float(step.epsilon as f32).run()
    }
}
