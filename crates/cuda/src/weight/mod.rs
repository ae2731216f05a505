//! Frozen weights on the device, by how they are held.

mod dense;
mod nf4;

use tunesmith_ops::matmul::check_read;
use tunesmith_ops::{DType, Host, Memory, Nf4Matrix, Result, Storage, View};

use crate::Cuda;
use crate::device::Buffer;

pub(crate) use nf4::{NF4_SHARED, Nf4Weight};

/// A frozen matrix `[n, k]`: row-major in bf16 or float32, or in four bits.
#[derive(Debug)]
pub struct Weight {
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) data: Data,
}

/// How a weight is held.
#[derive(Debug)]
pub(crate) enum Data {
    Dense(Buffer),
    Nf4(Nf4Weight),
}

impl Cuda {
    /// Takes a row-major matrix from the host.
    pub(crate) fn prepare_dense(&self, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Weight> {
        Ok(Weight { n, k, data: Data::Dense(self.upload_dense(n, k, host, storage)?) })
    }

    /// Takes a quantised matrix.
    pub(crate) fn prepare_nf4(&self, n: usize, k: usize, matrix: Nf4Matrix<'_>) -> Result<Weight> {
        matrix.check(n, k)?;
        Ok(Weight { n, k, data: Data::Nf4(self.upload_nf4(k, matrix)?) })
    }

    /// Rows `first .. first + rows` of a weight, on the host.
    pub(crate) fn read_rows(&self, weight: &Weight, first: usize, rows: usize, target: &mut [f32]) -> Result<()> {
        check_read((weight.n, weight.k), first, rows, target.len())?;
        match &weight.data {
            Data::Dense(buffer) => self.read(View::new(buffer, first * weight.k, target.len()), target),
            Data::Nf4(matrix) => {
                let part = self.nf4_part(matrix, DType::F32, first..first + rows, 0..weight.k)?;
                self.read(part.view(), target)
            }
        }
    }
}
