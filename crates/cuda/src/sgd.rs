//! `sgd`: the launch of `kernels/sgd.cu`.

use tunesmith_ops::{DType, Result, Sgd, SgdStep, SgdTensor};

use crate::device::Buffer;
use crate::grad_norm::Norm;
use crate::tensors::{Tensor, TensorTable};
use crate::{Cuda, check};

const THREADS: u32 = 256;

impl Sgd for Cuda {
    fn sgd(&self, step: &SgdStep, norm: &Norm, tensors: &mut [SgdTensor<'_, Buffer>]) -> Result<()> {
        let op = "sgd";
        step.check(op)?;
        let mut list = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let len = tensor.parameter.len;
            check::write(op, "parameter", &tensor.parameter, DType::F32, len)?;
            check::read(op, "gradient", tensor.gradient, DType::F32, len)?;
            step.check_buffer(op, tensor.momentum_buffer.is_some())?;
            let mut first = 0;
            if let Some(buffer) = &tensor.momentum_buffer {
                check::write(op, "momentum_buffer", buffer, DType::F32, len)?;
                first = buffer.buffer.address_of(buffer.start);
            }
            list.push(Tensor {
                parameter: tensor.parameter.buffer.address_of(tensor.parameter.start),
                gradient: tensor.gradient.buffer.address_of(tensor.gradient.start),
                first,
                second: 0,
                len,
                decay: tensor.weight_decay as f32,
                rate: tensor.learning_rate as f32,
            });
        }
        let table = TensorTable::new(self, &list)?;
        let launch = self.launch("sgd").blocks(table.count, THREADS);
        let launch = launch.read(table.tensors.view()).read(table.pieces.view()).read(norm.words.view());
        let launch = launch.float(step.momentum as f32).float((1.0 - step.dampening) as f32);
        launch.flag(step.step == 1).flag(step.nesterov).run()
    }
}
