//! Buffers: typed storage on cache-line boundaries, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytemuck::{Pod, Zeroable};
use tunesmith_ops::{Code, DType, Error, MemoryStats, Result, TypedBuffer};

/// One cache line, the unit of allocation.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

/// Bytes held by all buffers and weights of one backend.
#[derive(Debug)]
pub(crate) struct Tracker {
    in_use: AtomicUsize,
    peak: AtomicUsize,
    /// Allocations until one is refused, as a machine without memory would: for tests. `usize::MAX` refuses none.
    until_refusal: AtomicUsize,
}

impl Default for Tracker {
    fn default() -> Self {
        Self { in_use: 0.into(), peak: 0.into(), until_refusal: usize::MAX.into() }
    }
}

impl Tracker {
    pub(crate) fn stats(&self) -> MemoryStats {
        MemoryStats { in_use: self.in_use.load(Ordering::Relaxed), peak: self.peak.load(Ordering::Relaxed) }
    }

    fn out_of_memory(&self, bytes: usize) -> Error {
        let MemoryStats { in_use, peak } = self.stats();
        let text = format!(
            "expected {bytes} bytes, got none: {in_use} in use, {peak} at peak; set gradientCheckpointing, lower maxLength or \
             the batch size, load the model in 4 bits, or end other programs"
        );
        Error::new(Code::OutOfMemory, "cpu", text)
    }

    pub(crate) fn refuse_after(&self, allocations: usize) {
        self.until_refusal.store(allocations, Ordering::Relaxed);
    }

    /// Whether the next allocation is the one to refuse; those after it are not.
    fn refuses(&self) -> bool {
        let left = self.until_refusal.load(Ordering::Relaxed);
        if left != usize::MAX {
            self.until_refusal.store(left.wrapping_sub(1), Ordering::Relaxed);
        }
        left == 0
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
        let lines = if tracker.refuses() { Err(()) } else { bytemuck::allocation::try_zeroed_vec(count) };
        let lines = lines.map_err(|()| tracker.out_of_memory(bytes))?;
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
    U8(&'a [u8]),
}

impl TypedBuffer for Buffer {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Buffer {
    /// `len` elements of `dtype` in a block that has room for them.
    pub(crate) fn new(dtype: DType, len: usize, block: Block) -> Self {
        Self { dtype, len, block }
    }

    pub(crate) fn elements(&self) -> Elements<'_> {
        match self.dtype {
            DType::F32 => Elements::F32(self.block.as_slice(self.len)),
            DType::F16 => Elements::F16(self.block.as_slice(self.len)),
            DType::Bf16 => Elements::Bf16(self.block.as_slice(self.len)),
            DType::I32 => Elements::I32(self.block.as_slice(self.len)),
            DType::U8 => Elements::U8(self.block.as_slice(self.len)),
        }
    }

    /// The elements, when they are float32.
    pub(crate) fn floats_mut(&mut self) -> Option<&mut [f32]> {
        (self.dtype == DType::F32).then(|| self.block.as_mut_slice(self.len))
    }

    /// The integers, to write; None for another dtype.
    pub(crate) fn integers_mut(&mut self) -> Option<&mut [i32]> {
        (self.dtype == DType::I32).then(|| self.block.as_mut_slice(self.len))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.block.as_slice(self.len * self.dtype.size())
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.block.as_mut_slice(self.len * self.dtype.size())
    }
}
