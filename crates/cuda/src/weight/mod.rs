//! Frozen weights on the device, and matrices as operands of a product.

use half::{bf16, f16};
use tunesmith_ops::{DType, Error, Host, Matrix, Memory, Result, Storage, View, ViewMut};

use crate::device::Buffer;
use crate::nf4::Nf4Weight;
use crate::product::Side;
use crate::{Cuda, check};

/// Elements that are converted on the host at a time.
const PIECE: usize = 1 << 20;

/// A frozen matrix `[n, k]`: row-major in bf16 or binary32, or in four bits.
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

/// Elements `first .. first + len` of host numbers, as binary32.
fn floats(host: Host<'_>, first: usize, len: usize) -> Result<Vec<f32>> {
    let range = first..first + len;
    Ok(match host {
        Host::F32(v) => v[range].to_vec(),
        Host::F16(v) => v[range].iter().map(|&bits| f16::from_bits(bits).to_f32()).collect(),
        Host::Bf16(v) => v[range].iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect(),
        Host::I32(_) => return Err(Error::argument("prepare_weight", "floating-point numbers", DType::I32)),
    })
}

impl Cuda {
    /// Puts a dense matrix on the device as `dtype`, converted piece by piece.
    pub(crate) fn prepare_dense(&self, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Weight> {
        let op = "prepare_weight";
        let len = n.checked_mul(k).filter(|len| *len == host.len() || !self.keeps_values());
        let len = len.ok_or_else(|| Error::argument(op, format!("{n}·{k} numbers"), host.len()))?;
        floats(host, 0, 0)?;
        let dtype =
            if self.activation_dtype() == DType::Bf16 || storage == Storage::Bf16 { DType::Bf16 } else { DType::F32 };
        let mut buffer = self.undefined(dtype, len)?;
        let len = if self.keeps_values() { len } else { 0 };
        for first in (0..len).step_by(PIECE) {
            let count = PIECE.min(len - first);
            let values = floats(host, first, count)?;
            let target = ViewMut::new(&mut buffer, first, count);
            if dtype == DType::F32 {
                self.write(Host::F32(&values), target)?;
            } else {
                let bits: Vec<u16> = values.iter().map(|&v| bf16::from_f32(v).to_bits()).collect();
                self.write(Host::Bf16(&bits), target)?;
            }
        }
        Ok(Weight { n, k, data: Data::Dense(buffer) })
    }

    /// Rows `first .. first + rows` of a weight, on the host.
    pub(crate) fn read_rows(&self, weight: &Weight, first: usize, rows: usize, target: &mut [f32]) -> Result<()> {
        let op = "read_weight";
        if first.checked_add(rows).is_none_or(|end| end > weight.n) {
            return Err(Error::argument(op, format!("rows inside {}", weight.n), format!("{rows} from {first}")));
        }
        if target.len() != rows * weight.k {
            return Err(Error::argument(op, format!("{} numbers", rows * weight.k), target.len()));
        }
        match &weight.data {
            Data::Dense(buffer) => self.read(View::new(buffer, first * weight.k, target.len()), target),
            Data::Nf4(matrix) => {
                let part = self.nf4_part(matrix, DType::F32, first..first + rows, 0..weight.k)?;
                self.read(part.view(), target)
            }
        }
    }

    /// Refuses a weight of other sizes.
    pub(crate) fn check_weight(op: &str, n: usize, k: usize, weight: &Weight) -> Result<()> {
        if (weight.n, weight.k) == (n, k) {
            return Ok(());
        }
        Err(Error::argument(op, format!("a weight of {n} × {k}"), format!("{} × {}", weight.n, weight.k)))
    }

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
        op: &str,
        n: usize,
        k: usize,
        w: Matrix<'a, Weight, Buffer>,
    ) -> Result<Operand<'a>> {
        let weight = match w {
            Matrix::Frozen(weight) => weight,
            Matrix::Trained(view) => {
                check::read(op, "w", view, DType::F32, n * k)?;
                let rounded = self.as_activations(view)?;
                return Ok(rounded.map_or_else(|| Operand::Dense(Side::of(view, k)), Operand::Rounded));
            }
        };
        Self::check_weight(op, n, k, weight)?;
        Ok(match &weight.data {
            Data::Dense(buffer) => Operand::Dense(Side::of(buffer.view(), k)),
            Data::Nf4(matrix) => Operand::Nf4(matrix),
        })
    }
}
