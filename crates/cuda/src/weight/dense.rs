//! Dense weights: host numbers, converted piece by piece.

use half::{bf16, f16};
use tunesmith_ops::{DType, Error, Host, Memory, Result, Storage, ViewMut};

use crate::Cuda;
use crate::device::Buffer;

/// Elements that are converted on the host at a time.
const PIECE: usize = 1 << 20;

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
    pub(super) fn upload_dense(&self, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Buffer> {
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
        Ok(buffer)
    }
}
