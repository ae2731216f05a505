//! Allocation and copies: the CPU as [`Memory`].

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use tunesmith_ops::{DType, Error, Host, Memory, MemoryStats, Result, TypedBuffer, View, ViewMut};

use crate::Cpu;
use crate::buffer::{Block, Buffer, Elements};

fn host_bytes(host: Host<'_>) -> &[u8] {
    match host {
        Host::F32(v) => bytemuck::cast_slice(v),
        Host::F16(v) | Host::Bf16(v) => bytemuck::cast_slice(v),
        Host::I32(v) => bytemuck::cast_slice(v),
        Host::U8(v) => v,
    }
}

/// Copies bytes into a view after checking dtype, length and place.
fn store(op: &str, dtype: DType, len: usize, bytes: &[u8], target: ViewMut<'_, Buffer>) -> Result<()> {
    target.as_view().check(op, "target", Some(dtype), len)?;
    let (start, size) = (target.start * dtype.size(), len * dtype.size());
    target.buffer.bytes_mut()[start..start + size].copy_from_slice(bytes);
    Ok(())
}

impl Memory for Cpu {
    type Buffer = Buffer;

    fn activation_dtype(&self) -> DType {
        DType::F32
    }

    fn zeros(&self, dtype: DType, len: usize) -> Result<Buffer> {
        let bytes = len
            .checked_mul(dtype.size())
            .ok_or_else(|| Error::argument("zeros", "a size in bytes below 2^64", format!("{len} elements")))?;
        Ok(Buffer::new(dtype, len, Block::zeroed(&self.tracker, bytes)?))
    }

    fn upload(&self, host: Host<'_>) -> Result<Buffer> {
        let mut buffer = self.zeros(host.dtype(), host.len())?;
        buffer.bytes_mut().copy_from_slice(host_bytes(host));
        Ok(buffer)
    }

    fn write(&self, host: Host<'_>, target: ViewMut<'_, Buffer>) -> Result<()> {
        store("write", host.dtype(), host.len(), host_bytes(host), target)
    }

    fn read(&self, source: View<'_, Buffer>, target: &mut [f32]) -> Result<()> {
        source.check("read", "source", None, target.len())?;
        let range = source.start..source.start + source.len;
        match source.buffer.elements() {
            Elements::F32(v) => target.copy_from_slice(&v[range]),
            Elements::F16(v) => v[range].reinterpret_cast::<f16>().convert_to_f32_slice(target),
            Elements::Bf16(v) => v[range].reinterpret_cast::<bf16>().convert_to_f32_slice(target),
            Elements::U8(v) => {
                target.iter_mut().zip(&v[range]).for_each(|(wide, byte)| *wide = f32::from(*byte));
            }
            Elements::I32(_) => return Err(Error::argument("read", "a floating-point view", "int32")),
        }
        Ok(())
    }

    fn copy(&self, source: View<'_, Buffer>, target: ViewMut<'_, Buffer>) -> Result<()> {
        let dtype = source.buffer.dtype();
        source.check("copy", "source", None, source.len)?;
        let (start, size) = (source.start * dtype.size(), source.len * dtype.size());
        let bytes = &source.buffer.bytes()[start..start + size];
        store("copy", dtype, source.len, bytes, target)
    }

    fn clear(&self, target: ViewMut<'_, Buffer>) -> Result<()> {
        target.as_view().check("clear", "target", None, target.len)?;
        let size = target.buffer.dtype().size();
        target.buffer.bytes_mut()[target.start * size..(target.start + target.len) * size].fill(0);
        Ok(())
    }

    fn len(&self, buffer: &Buffer) -> usize {
        buffer.len()
    }

    fn memory_stats(&self) -> MemoryStats {
        self.tracker.stats()
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_ops::Code;

    use super::*;

    #[test]
    fn memory_is_aligned_counted_and_given_back() {
        let cpu = Cpu::new(1).expect("a backend");
        let before = cpu.memory_stats();
        let buffer = cpu.zeros(DType::F32, 1000).expect("memory");
        assert_eq!(cpu.memory_stats().in_use, before.in_use + 4032);
        assert_eq!(buffer.bytes().as_ptr().align_offset(64), 0);
        drop(buffer);
        let after = cpu.memory_stats();
        assert_eq!((after.in_use, after.peak), (before.in_use, before.in_use + 4032));
    }

    #[test]
    fn more_memory_than_there_is_is_an_error() {
        let cpu = Cpu::new(1).expect("a backend");
        for len in [usize::MAX, usize::MAX / 8] {
            let error = cpu.zeros(DType::F32, len).expect_err("too much");
            assert!(matches!(error.code, Code::OutOfMemory | Code::ArgumentInvalid), "{error}");
        }
    }

    #[test]
    fn views_are_copied_widened_cleared_and_checked() {
        let cpu = Cpu::new(1).expect("a backend");
        let halves: Vec<u16> = [1.0, -2.5, 0.125].map(|x| f16::from_f32(x).to_bits()).to_vec();
        let mut buffer = cpu.upload(Host::F16(&halves)).expect("memory");
        let mut out = [0.0; 2];
        cpu.read(View::new(&buffer, 1, 2), &mut out).expect("a view");
        assert_eq!(out.map(f32::to_bits), [-2.5, 0.125].map(f32::to_bits));
        cpu.clear(ViewMut::new(&mut buffer, 1, 1)).expect("a view");
        let mut copy = cpu.zeros(DType::F16, 3).expect("memory");
        cpu.copy(View::new(&buffer, 0, 3), ViewMut::new(&mut copy, 0, 3)).expect("a view");
        let mut all = [9.0; 3];
        cpu.read(View::new(&copy, 0, 3), &mut all).expect("a view");
        assert_eq!(all.map(f32::to_bits), [1.0, 0.0, 0.125].map(f32::to_bits));
        assert!(cpu.read(View::new(&copy, 2, 2), &mut out).is_err());
        assert!(cpu.read(View::new(&copy, usize::MAX, 2), &mut out).is_err());
        assert!(cpu.write(Host::F32(&[1.0]), ViewMut::new(&mut copy, 0, 1)).is_err());
    }
}
