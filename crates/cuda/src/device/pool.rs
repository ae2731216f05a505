//! A caching allocator: freed blocks are reused, so a step that has run once allocates nothing.
//!
//! Everything happens on one stream, so memory that is given back may be handed out at once: whoever writes to it next
//! comes after whoever read it last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tunesmith_ops::{Code, Error, MemoryStats, Result};

use super::driver::{Address, Driver};

/// Up to here sizes are rounded up to powers of two, so that batches of nearly equal lengths share their blocks.
const SMALL: usize = 1 << 20;

/// Larger blocks are multiples of this.
const LARGE: usize = 2 << 20;

#[derive(Debug, Default)]
struct State {
    /// Free blocks, by size.
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
