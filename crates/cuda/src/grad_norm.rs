//! `grad_norm`: launches of `kernels/grad_norm.cu`.

use tunesmith_ops::{Clip, DType, GradNorm, Result, View, grad_norm};

use crate::Cuda;
use crate::device::Buffer;
use crate::tensors::{Tensor, TensorTable};

const THREADS: u32 = 256;

/// Shared memory of a sum over the block in float64.
const SCRATCH: usize = THREADS as usize / 32 * 8;

/// A norm and the factor it puts on the gradient, on the device.
#[derive(Debug)]
pub struct Norm {
    /// `struct Norm` of `common/tensors.cuh`.
    pub(crate) words: Buffer,
}

impl GradNorm for Cuda {
    type Norm = Norm;

    fn grad_norm(&self, clip: &Clip, tensors: &[View<'_, Buffer>]) -> Result<Norm> {
        grad_norm::check(tensors)?;
        let mut list = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let gradient = tensor.buffer.address_of(tensor.start);
            list.push(Tensor { gradient, len: tensor.len, ..Tensor::default() });
        }
        let table = TensorTable::new(self, &list)?;
        let partials = self.undefined(DType::F32, 2 * table.count)?;
        let launch = self.launch("grad_norm_partials").blocks(table.count, THREADS).shared(SCRATCH);
        launch.read(table.tensors.view()).read(table.pieces.view()).read(partials.view()).run()?;
        let words = self.undefined(DType::F32, 4)?;
        let launch = self.launch("grad_norm_finish").blocks(1, THREADS).shared(SCRATCH);
        let launch = launch.int(table.count).read(partials.view());
        launch.double(clip.denominator).double(clip.max_grad_norm.unwrap_or(-1.0)).read(words.view()).run()?;
        Ok(Norm { words })
    }

    fn read_norm(&self, norm: &Norm) -> Result<f64> {
        let mut bytes = [0; 8];
        self.download_bytes(norm.words.address_of(0), &mut bytes)?;
        Ok(f64::from_ne_bytes(bytes))
    }
}
