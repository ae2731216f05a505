//! A model in memory with everything that trains it, and the calls it takes.

mod averaged;
mod calls;
mod checkpoint;
mod engine;
mod merge_check;
mod new_tokens;
mod options;
mod state;

pub use engine::{AdapterState, Engine};
pub use merge_check::{LogitCheck, compare_logits};
pub use options::{AdapterOptions, SessionOptions};
pub use state::Session;
