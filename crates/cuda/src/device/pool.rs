//! A caching allocator: freed blocks are reused, so a step that has run once allocates nothing.
//!
//! Everything happens on one stream, so memory that is given back may be handed out at once: whoever writes to it next
//! comes after whoever read it last. Large blocks are cut from larger ones that lie free, and joined again: a buffer that has
//! outgrown its block leaves memory that any other can use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tunesmith_ops::{Code, Error, MemoryStats, Result};

use super::driver::{Address, Driver};
use super::spans::Spans;

/// Up to here sizes are rounded up to powers of two, so that batches of nearly equal lengths share their blocks.
const SMALL: usize = 1 << 20;

/// Larger blocks are multiples of this.
const LARGE: usize = 2 << 20;

#[derive(Debug, Default)]
struct State {
    spans: Spans,
    stats: MemoryStats,
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
        let found = if self.cuts(size) { state.spans.cut(size) } else { state.spans.take_exact(size) };
        let address = match found {
            Some(address) => address,
            None => self.grow(&mut state, size)?.ok_or_else(|| self.out_of_memory_in(&state, bytes))?,
        };
        state.stats.in_use += size;
        state.stats.peak = state.stats.peak.max(state.stats.in_use);
        Ok(Block { address, size, pool: Arc::clone(self) })
    }

    /// Whether blocks of a size are cut from larger ones: where every byte beyond an allocation is watched none is, and small ones
    /// would break up what large ones need.
    fn cuts(&self, size: usize) -> bool {
        self.driver.granularity() > 1 && size > SMALL
    }

    /// New memory from the driver, giving back what lies unused when there is no other.
    fn grow(&self, state: &mut State, size: usize) -> Result<Option<Address>> {
        state.allocations += 1;
        let mut address = self.driver.allocate(size)?;
        if address.is_none() && self.release(state) {
            address = self.driver.allocate(size)?;
        }
        address.into_iter().for_each(|address| state.spans.add(address, size));
        Ok(address)
    }

    /// Gives the driver back every segment of which nothing is held; false where there is none.
    fn release(&self, state: &mut State) -> bool {
        let segments = state.spans.take_free_segments();
        for &(address, _) in &segments {
            self.driver.free(address);
        }
        !segments.is_empty()
    }

    fn out_of_memory(&self, bytes: usize) -> Error {
        self.out_of_memory_in(&self.state(), bytes)
    }

    fn out_of_memory_in(&self, state: &State, bytes: usize) -> Error {
        let MemoryStats { in_use, peak } = state.stats;
        let (free, total) = self.driver.memory_info().unwrap_or_default();
        let (unused, largest) = (state.spans.unused(), state.spans.largest());
        let text = format!(
            "expected {bytes} bytes, got none: {in_use} in use, {peak} at peak, {unused} held for reuse ({largest} at most in one \
             piece), {free} of {total} free on the device; set gradientCheckpointing, lower maxLength or the batch size, load the model in 4 bits, or end other programs on \
             this device"
        );
        Error::new(Code::OutOfMemory, "cuda", text)
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        self.state().stats
    }

    /// Bytes taken from the driver of which nothing is held: what is asked for next finds them.
    pub(crate) fn unused(&self) -> usize {
        self.state().spans.unused()
    }

    /// Times that the driver was asked for memory.
    pub(crate) fn allocations(&self) -> u64 {
        self.state().allocations
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
            state.spans.give_back(self.address);
        }
    }
}
