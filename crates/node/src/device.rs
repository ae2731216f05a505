//! The one place where a device is chosen.

use std::sync::Arc;

use tunesmith_cpu::Cpu;
use tunesmith_ops::{Error, Result};

/// The backend that sessions of this build run on.
pub type Device = Cpu;

/// The engine of a session.
pub type Engine = tunesmith_engine::Session<Device>;

/// Backends in this build, best first.
pub const BACKENDS: [&str; 1] = ["cpu"];

/// Opens a device: `cpu`, or `auto` for the best there is. `threads` 0 takes as many as the process may use at once.
///
/// # Errors
/// `ArgumentInvalid` for another name, `OutOfMemory` when threads cannot start.
pub fn open(device: &str, threads: usize) -> Result<Arc<Device>> {
    match device {
        "cpu" | "auto" => Cpu::new(threads).map(Arc::new),
        other => Err(Error::argument("device", "\"cpu\" or \"auto\"", format!("{other:?}"))),
    }
}
