//! The CPU backend: float32 arithmetic, a pool of threads, instruction sets chosen at run time, one file per op.
//!
//! Every result has the same bits with any number of threads: work is handed out in pieces whose size and inner order do
//! not depend on the threads, and no piece adds into what another one writes.

// The vector operations must be inlined into the function that enables the instruction set, or they cost a call each.
#![allow(clippy::inline_always)]

mod adafactor;
mod adamw;
mod attention;
mod attention_backward;
mod attention_scores;
mod blockwise_step;
mod buffer;
mod cross_entropy;
mod dora;
mod dropout;
mod elementwise;
mod elementwise_step;
mod embedding;
mod grad_norm;
mod grouped_matmul;
mod lora_matmul;
mod matmul;
mod memory;
mod muon;
mod neftune;
mod nf4;
mod pool;
mod product;
mod rms_norm;
mod rope;
mod router;
mod scratch;
mod sgd;
pub mod simd;
mod swiglu;
mod views;
mod weight;

use std::sync::Arc;

use tunesmith_ops::{Backend, Result};

pub use buffer::Buffer;
pub use grad_norm::Norm;
pub use weight::Weight;

use buffer::Tracker;
use pool::Pool;
use simd::Isa;

/// The CPU as a backend of the engine.
#[derive(Debug)]
pub struct Cpu {
    pool: Pool,
    isa: Isa,
    tracker: Arc<Tracker>,
}

impl Cpu {
    /// A backend on `threads` threads, the calling one included; 0 takes as many as the process may use at once.
    /// The instruction set is the best of this machine, or a lower one named by `TUNESMITH_CPU_ISA` (`avx2`, `portable`).
    ///
    /// # Errors
    /// `ArgumentInvalid` when `TUNESMITH_CPU_ISA` names nothing this machine has, `OutOfMemory` when threads cannot start.
    pub fn new(threads: usize) -> Result<Self> {
        Self::with_isa(threads, Isa::resolve()?)
    }

    /// As [`Cpu::new`] with the instruction set given.
    ///
    /// # Errors
    /// `ArgumentInvalid` when this machine lacks `isa`, `OutOfMemory` when threads cannot start.
    pub fn with_isa(threads: usize, isa: Isa) -> Result<Self> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        };
        Ok(Self { pool: Pool::new(threads)?, isa: isa.checked()?, tracker: Arc::default() })
    }

    /// Threads that work on an op.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Refuses the allocation after the next `allocations` ones, once, as a machine without memory would: for tests.
    pub fn refuse_allocation(&self, allocations: usize) {
        self.tracker.refuse_after(allocations);
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }
}
