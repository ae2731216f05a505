//! Dense weights: host numbers, converted piece by piece.

use half::{bf16, f16};
use tunesmith_ops::matmul::check_host;
use tunesmith_ops::{DType, Host, Memory, Result, Storage, ViewMut};

use crate::Cuda;
use crate::device::Buffer;

/// Elements that are converted on the host at a time.
const PIECE: usize = 1 << 20;

/// Elements `first .. first + len` of host numbers, as float32.
fn floats(host: Host<'_>, first: usize, len: usize) -> Vec<f32> {
    let range = first..first + len;
    match host {
        Host::F32(v) => v[range].to_vec(),
        Host::F16(v) => v[range].iter().map(|&bits| f16::from_bits(bits).to_f32()).collect(),
        Host::Bf16(v) => v[range].iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect(),
        Host::I32(v) => v[range].iter().map(|&integer| integer as f32).collect(),
        Host::U8(v) => v[range].iter().map(|&byte| f32::from(byte)).collect(),
    }
}

impl Cuda {
    /// Puts a dense matrix on the device as `dtype`, converted piece by piece.
    pub(super) fn upload_dense(&self, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Buffer> {
        check_host(n, k, host, self.keeps_values())?;
        let dtype =
            if self.activation_dtype() == DType::Bf16 || storage == Storage::Bf16 { DType::Bf16 } else { DType::F32 };
        let mut buffer = self.undefined(dtype, n * k)?;
        let len = if self.keeps_values() { n * k } else { 0 };
        for first in (0..len).step_by(PIECE) {
            let count = PIECE.min(len - first);
            let values = floats(host, first, count);
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
