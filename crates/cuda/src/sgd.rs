//! `sgd`: the launch of `kernels/sgd.cu`.

use tunesmith_ops::{Result, Sgd, SgdStep, SgdTensor};

use crate::Cuda;
use crate::device::Buffer;
use crate::grad_norm::Norm;
use crate::tensors::{Tensor, TensorTable};

const THREADS: u32 = 256;

impl Sgd for Cuda {
    fn sgd(&self, step: &SgdStep, norm: &Norm, tensors: &mut [SgdTensor<'_, Buffer>]) -> Result<()> {
        step.check()?;
        let mut list = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            tensor.check(step)?;
            let buffer = tensor.momentum_buffer.as_ref();
            list.push(Tensor {
                parameter: tensor.parameter.buffer.address_of(tensor.parameter.start),
                gradient: tensor.gradient.buffer.address_of(tensor.gradient.start),
                first: buffer.map_or(0, |buffer| buffer.buffer.address_of(buffer.start)),
                len: tensor.parameter.len,
                decay: tensor.weight_decay as f32,
                rate: tensor.learning_rate as f32,
                ..Tensor::default()
            });
        }
        let table = TensorTable::new(self, &list)?;
        let launch = self.launch("sgd").blocks(table.count, THREADS);
        let launch = launch.read(table.tensors.view()).read(table.pieces.view()).read(norm.words.view());
        let launch = launch.float(step.momentum as f32).float((1.0 - step.dampening) as f32);
        launch.flag(step.step == 1).flag(step.nesterov).run()
    }
}
