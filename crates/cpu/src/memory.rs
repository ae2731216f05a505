//! Buffers: typed storage on cache-line boundaries, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytemuck::{Pod, Zeroable};
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use tunesmith_ops::{Code, DType, Error, Host, Memory, MemoryStats, Result, View, ViewMut};

use crate::{Cpu, check};

/// One cache line, the unit of allocation.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

/// Bytes held by all buffers and weights of one backend.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    in_use: AtomicUsize,
    peak: AtomicUsize,
}

impl Tracker {
    fn stats(&self) -> MemoryStats {
        MemoryStats { in_use: self.in_use.load(Ordering::Relaxed), peak: self.peak.load(Ordering::Relaxed) }
    }
}

/// Zeroed bytes on a cache-line boundary that are counted while they live.
pub(crate) struct Block {
    lines: Vec<Line>,
    tracker: Arc<Tracker>,
}

impl Block {
    pub(crate) fn zeroed(tracker: &Arc<Tracker>, bytes: usize) -> Result<Self> {
        let count = bytes.div_ceil(size_of::<Line>());
        let lines = bytemuck::allocation::try_zeroed_vec(count).map_err(|()| {
            let in_use = tracker.stats().in_use;
            let text = format!("expected {bytes} bytes, got none beside {in_use} in use; free memory or ask for less");
            Error::new(Code::OutOfMemory, "cpu", text)
        })?;
        let held = count * size_of::<Line>();
        let in_use = tracker.in_use.fetch_add(held, Ordering::Relaxed) + held;
        tracker.peak.fetch_max(in_use, Ordering::Relaxed);
        Ok(Self { lines, tracker: Arc::clone(tracker) })
    }

    pub(crate) fn as_slice<T: Pod>(&self, len: usize) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..len]
    }

    pub(crate) fn as_mut_slice<T: Pod>(&mut self, len: usize) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..len]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let held = self.lines.len() * size_of::<Line>();
        self.tracker.in_use.fetch_sub(held, Ordering::Relaxed);
    }
}

/// An allocation of the CPU backend: elements of one dtype.
pub struct Buffer {
    dtype: DType,
    len: usize,
    block: Block,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} × {})", self.len, self.dtype)
    }
}

/// The elements of a buffer.
pub(crate) enum Elements<'a> {
    F32(&'a [f32]),
    F16(&'a [u16]),
    Bf16(&'a [u16]),
    I32(&'a [i32]),
}

impl Buffer {
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn elements(&self) -> Elements<'_> {
        match self.dtype {
            DType::F32 => Elements::F32(self.block.as_slice(self.len)),
            DType::F16 => Elements::F16(self.block.as_slice(self.len)),
            DType::Bf16 => Elements::Bf16(self.block.as_slice(self.len)),
            DType::I32 => Elements::I32(self.block.as_slice(self.len)),
        }
    }

    /// The elements, when they are binary32.
    pub(crate) fn floats_mut(&mut self) -> Option<&mut [f32]> {
        (self.dtype == DType::F32).then(|| self.block.as_mut_slice(self.len))
    }

    /// The integers, to write; None for another dtype.
    pub(crate) fn integers_mut(&mut self) -> Option<&mut [i32]> {
        (self.dtype == DType::I32).then(|| self.block.as_mut_slice(self.len))
    }

    fn bytes(&self) -> &[u8] {
        self.block.as_slice(self.len * self.dtype.size())
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.block.as_mut_slice(self.len * self.dtype.size())
    }
}

fn host_bytes(host: Host<'_>) -> &[u8] {
    match host {
        Host::F32(v) => bytemuck::cast_slice(v),
        Host::F16(v) | Host::Bf16(v) => bytemuck::cast_slice(v),
        Host::I32(v) => bytemuck::cast_slice(v),
    }
}

/// Copies bytes into a window after checking dtype, length and place.
fn store(op: &str, dtype: DType, len: usize, bytes: &[u8], target: ViewMut<'_, Buffer>) -> Result<()> {
    check::window(op, "target", target.as_view(), Some(dtype), len)?;
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
        Ok(Buffer { dtype, len, block: Block::zeroed(&self.tracker, bytes)? })
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
        check::window("read", "source", source, None, target.len())?;
        let range = source.start..source.start + source.len;
        match source.buffer.elements() {
            Elements::F32(v) => target.copy_from_slice(&v[range]),
            Elements::F16(v) => v[range].reinterpret_cast::<f16>().convert_to_f32_slice(target),
            Elements::Bf16(v) => v[range].reinterpret_cast::<bf16>().convert_to_f32_slice(target),
            Elements::I32(_) => return Err(Error::argument("read", "a floating-point window", "int32")),
        }
        Ok(())
    }

    fn copy(&self, source: View<'_, Buffer>, target: ViewMut<'_, Buffer>) -> Result<()> {
        let dtype = source.buffer.dtype;
        check::window("copy", "source", source, None, source.len)?;
        let (start, size) = (source.start * dtype.size(), source.len * dtype.size());
        let bytes = &source.buffer.bytes()[start..start + size];
        store("copy", dtype, source.len, bytes, target)
    }

    fn clear(&self, target: ViewMut<'_, Buffer>) -> Result<()> {
        check::window("clear", "target", target.as_view(), None, target.len)?;
        let size = target.buffer.dtype.size();
        target.buffer.bytes_mut()[target.start * size..(target.start + target.len) * size].fill(0);
        Ok(())
    }

    fn len(&self, buffer: &Buffer) -> usize {
        buffer.len
    }

    fn memory_stats(&self) -> MemoryStats {
        self.tracker.stats()
    }
}

#[cfg(test)]
mod tests {
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
    fn windows_are_copied_widened_cleared_and_checked() {
        let cpu = Cpu::new(1).expect("a backend");
        let halves: Vec<u16> = [1.0, -2.5, 0.125].map(|x| f16::from_f32(x).to_bits()).to_vec();
        let mut buffer = cpu.upload(Host::F16(&halves)).expect("memory");
        let mut out = [0.0; 2];
        cpu.read(View::new(&buffer, 1, 2), &mut out).expect("a window");
        assert_eq!(out.map(f32::to_bits), [-2.5, 0.125].map(f32::to_bits));
        cpu.clear(ViewMut::new(&mut buffer, 1, 1)).expect("a window");
        let mut copy = cpu.zeros(DType::F16, 3).expect("memory");
        cpu.copy(View::new(&buffer, 0, 3), ViewMut::new(&mut copy, 0, 3)).expect("a window");
        let mut all = [9.0; 3];
        cpu.read(View::new(&copy, 0, 3), &mut all).expect("a window");
        assert_eq!(all.map(f32::to_bits), [1.0, 0.0, 0.125].map(f32::to_bits));
        assert!(cpu.read(View::new(&copy, 2, 2), &mut out).is_err());
        assert!(cpu.read(View::new(&copy, usize::MAX, 2), &mut out).is_err());
        assert!(cpu.write(Host::F32(&[1.0]), ViewMut::new(&mut copy, 0, 1)).is_err());
    }
}
