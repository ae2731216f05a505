//! A weight matrix as products read it.

use tunesmith_ops::{Call, DType, Matrix, Memory, Result, View};

use super::factors::Side;
use crate::Cuda;
use crate::device::Buffer;
use crate::weight::{Data, Nf4Weight, Weight};

/// A weight as a product reads it.
#[derive(Debug)]
pub(crate) enum Operand<'a> {
    /// Where it lies.
    Dense(Side),
    /// A trained matrix, rounded for this product.
    Rounded(Buffer),
    /// In four bits, to be expanded part by part.
    Nf4(&'a Nf4Weight),
}

impl Cuda {
    /// Trained numbers rounded to the activations' dtype; none where they have it.
    pub(crate) fn as_activations(&self, view: View<'_, Buffer>) -> Result<Option<Buffer>> {
        if self.activation_dtype() == DType::F32 {
            return Ok(None);
        }
        let mut rounded = self.undefined(DType::Bf16, view.len)?;
        let launch = self.launch("matmul_round_bf16").blocks(view.len.div_ceil(256), 256);
        launch.read(view).write(&rounded.view_mut()).long(view.len).run()?;
        Ok(Some(rounded))
    }

    /// A matrix `[n, k]` as operand: a trained one is rounded to the activations' dtype first.
    pub(crate) fn operand<'a>(
        &self,
        call: Call,
        n: usize,
        k: usize,
        w: Matrix<'a, Weight, Buffer>,
    ) -> Result<Operand<'a>> {
        w.check(call, n, k, |weight| (weight.n, weight.k))?;
        let weight = match w {
            Matrix::Frozen(weight) => weight,
            Matrix::Trained(view) => {
                let rounded = self.as_activations(view)?;
                return Ok(rounded.map_or_else(|| Operand::Dense(Side::of(view, k)), Operand::Rounded));
            }
        };
        Ok(match &weight.data {
            Data::Dense(buffer) => Operand::Dense(Side::of(buffer.view(), k)),
            Data::Nf4(matrix) => Operand::Nf4(matrix),
        })
    }
}
