//! Buffers, and the allocator that keeps what was given back: a step that has run once allocates nothing.
//!
//! Everything happens on one stream, so memory that is given back may be handed out at once: whoever writes to it next
//! comes after whoever read it last.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use tunesmith_ops::{Code, DType, Error, Host, Memory, MemoryStats, Result, View, ViewMut};

use super::driver::{Address, Driver};
use crate::{Cuda, check};

/// Up to here sizes are rounded up to powers of two, so that batches of nearly equal lengths share their blocks.
const SMALL: usize = 1 << 20;

/// Larger blocks are multiples of this.
const LARGE: usize = 2 << 20;

#[derive(Debug, Default)]
struct State {
    /// Blocks that nobody holds, by size.
    free: BTreeMap<usize, Vec<Address>>,
    stats: MemoryStats,
    /// Bytes taken from the driver, held or not.
    reserved: usize,
    allocations: u64,
}

/// All memory of one backend.
#[derive(Debug)]
pub(crate) struct Pool {
    driver: Arc<dyn Driver>,
    state: Mutex<State>,
}

impl Pool {
    pub(crate) fn new(driver: Arc<dyn Driver>) -> Self {
        Self { driver, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size of the block that holds `bytes`.
    pub(crate) fn rounded(&self, bytes: usize) -> Option<usize> {
        match self.driver.granularity() {
            1 => Some(bytes),
            granularity if bytes <= SMALL => Some(bytes.next_power_of_two().max(granularity)),
            _ => bytes.checked_next_multiple_of(LARGE),
        }
    }

    /// A block of at least `bytes`, its content undefined.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Result<Block> {
        if bytes == 0 {
            return Ok(Block { address: 0, size: 0, pool: Arc::clone(self) });
        }
        let size = self.rounded(bytes).ok_or_else(|| self.out_of_memory(bytes))?;
        let mut state = self.state();
        let (address, size) = match state.reuse(size, self.driver.granularity() > 1) {
            Some(block) => block,
            None => (self.grow(&mut state, size)?.ok_or_else(|| self.out_of_memory_in(&state, bytes))?, size),
        };
        state.stats.in_use += size;
        state.stats.peak = state.stats.peak.max(state.stats.in_use);
        Ok(Block { address, size, pool: Arc::clone(self) })
    }

    /// New memory from the driver, giving back what lies unused when there is no other.
    fn grow(&self, state: &mut State, size: usize) -> Result<Option<Address>> {
        state.allocations += 1;
        let mut address = self.driver.allocate(size)?;
        if address.is_none() && !state.free.is_empty() {
            self.release(state);
            address = self.driver.allocate(size)?;
        }
        state.reserved += address.map_or(0, |_| size);
        Ok(address)
    }

    fn release(&self, state: &mut State) {
        for (size, blocks) in std::mem::take(&mut state.free) {
            state.reserved -= size * blocks.len();
            blocks.into_iter().for_each(|address| self.driver.free(address));
        }
    }

    fn out_of_memory(&self, bytes: usize) -> Error {
        self.out_of_memory_in(&self.state(), bytes)
    }

    fn out_of_memory_in(&self, state: &State, bytes: usize) -> Error {
        let MemoryStats { in_use, peak } = state.stats;
        let (free, total) = self.driver.memory_info().unwrap_or_default();
        let text = format!(
            "expected {bytes} bytes, got none: {in_use} in use, {peak} at peak, {free} of {total} free on the device; set \
             gradientCheckpointing, lower maxLength or the batch size, load the model in 4 bits, or end other programs on \
             this device"
        );
        Error::new(Code::OutOfMemory, "cuda", text)
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        self.state().stats
    }

    /// Times that the driver was asked for memory.
    pub(crate) fn allocations(&self) -> u64 {
        self.state().allocations
    }
}

impl State {
    /// A free block of this size or, where `roomy`, one up to a quarter larger.
    fn reuse(&mut self, size: usize, roomy: bool) -> Option<(Address, usize)> {
        let most = if roomy { size + size / 4 } else { size };
        let (&found, blocks) = self.free.range_mut(size..=most).next()?;
        let address = blocks.pop()?;
        if blocks.is_empty() {
            self.free.remove(&found);
        }
        Some((address, found))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = std::mem::take(self.state.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.release(&mut state);
    }
}

/// Memory that goes back to its pool when dropped.
#[derive(Debug)]
pub(crate) struct Block {
    address: Address,
    size: usize,
    pool: Arc<Pool>,
}

impl Block {
    pub(crate) fn address(&self) -> Address {
        self.address
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.size > 0 {
            let mut state = self.pool.state();
            state.stats.in_use -= self.size;
            state.free.entry(self.size).or_default().push(self.address);
        }
    }
}

/// An allocation of the CUDA backend: elements of one dtype.
#[derive(Debug)]
pub struct Buffer {
    block: Block,
    dtype: DType,
    len: usize,
}

impl Buffer {
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where element `index` lies.
    pub(crate) fn address_of(&self, index: usize) -> Address {
        self.block.address() + (index * self.dtype.size()) as Address
    }

    /// All of it.
    pub(crate) fn view(&self) -> View<'_, Self> {
        View::new(self, 0, self.len)
    }

    /// All of it, writable.
    pub(crate) fn view_mut(&mut self) -> ViewMut<'_, Self> {
        let len = self.len;
        ViewMut::new(self, 0, len)
    }
}

pub(crate) fn host_bytes(host: Host<'_>) -> &[u8] {
    fn bytes<T>(values: &[T]) -> &[u8] {
        // SAFETY: called with integers and floats alone, which have no padding; a byte has no alignment.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
    }
    match host {
        Host::F32(v) => bytes(v),
        Host::F16(v) | Host::Bf16(v) => bytes(v),
        Host::I32(v) => bytes(v),
    }
}

impl Cuda {
    /// A buffer whose content is undefined: for what an op writes in full.
    pub(crate) fn undefined(&self, dtype: DType, len: usize) -> Result<Buffer> {
        let bytes = len
            .checked_mul(dtype.size())
            .ok_or_else(|| Error::argument("zeros", "a size in bytes below 2^64", format!("{len} elements")))?;
        Ok(Buffer { block: self.pool.take(bytes)?, dtype, len })
    }

    /// The bytes of a window on the host.
    fn download<T: Copy + Default>(&self, source: View<'_, Buffer>) -> Result<Vec<T>> {
        let mut host = vec![T::default(); source.len];
        // SAFETY: `T` is an integer or a float: every pattern of bytes is a value.
        let bytes = unsafe { std::slice::from_raw_parts_mut(host.as_mut_ptr().cast(), size_of_val(host.as_slice())) };
        self.download_bytes(source.buffer.address_of(source.start), bytes)?;
        Ok(host)
    }
}

impl Memory for Cuda {
    type Buffer = Buffer;

    fn activation_dtype(&self) -> DType {
        self.dtype
    }

    fn keeps_values(&self) -> bool {
        self.driver.keeps_values()
    }

    fn zeros(&self, dtype: DType, len: usize) -> Result<Buffer> {
        let buffer = self.undefined(dtype, len)?;
        self.driver.clear(buffer.block.address(), len * dtype.size())?;
        Ok(buffer)
    }

    fn upload(&self, host: Host<'_>) -> Result<Buffer> {
        let buffer = self.undefined(host.dtype(), host.len())?;
        self.driver.upload(buffer.block.address(), host_bytes(host))?;
        Ok(buffer)
    }

    fn write(&self, host: Host<'_>, target: ViewMut<'_, Buffer>) -> Result<()> {
        check::write("write", "target", &target, host.dtype(), host.len())?;
        self.driver.upload(target.buffer.address_of(target.start), host_bytes(host))
    }

    fn read(&self, source: View<'_, Buffer>, target: &mut [f32]) -> Result<()> {
        check::window("read", "source", source, None, target.len())?;
        match source.buffer.dtype() {
            DType::F32 => target.copy_from_slice(&self.download::<f32>(source)?),
            DType::F16 => self.download::<u16>(source)?.reinterpret_cast::<f16>().convert_to_f32_slice(target),
            DType::Bf16 => self.download::<u16>(source)?.reinterpret_cast::<bf16>().convert_to_f32_slice(target),
            other => return Err(Error::argument("read", "a floating-point window", other)),
        }
        Ok(())
    }

    fn copy(&self, source: View<'_, Buffer>, target: ViewMut<'_, Buffer>) -> Result<()> {
        let dtype = source.buffer.dtype();
        check::window("copy", "source", source, None, source.len)?;
        check::write("copy", "target", &target, dtype, source.len)?;
        let (from, to) = (source.buffer.address_of(source.start), target.buffer.address_of(target.start));
        self.driver.copy(from, to, source.len * dtype.size())
    }

    fn clear(&self, target: ViewMut<'_, Buffer>) -> Result<()> {
        check::window("clear", "target", target.as_view(), None, target.len)?;
        let bytes = target.len * target.buffer.dtype().size();
        self.driver.clear(target.buffer.address_of(target.start), bytes)
    }

    fn len(&self, buffer: &Buffer) -> usize {
        buffer.len
    }

    fn memory_stats(&self) -> MemoryStats {
        self.pool.stats()
    }

    fn synchronize(&self) -> Result<()> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.driver.synchronize()
    }
}
