//! A model in memory with everything that trains it: what the binding talks to.

mod checkpoint;
mod merge_check;
mod options;
mod state;

pub use merge_check::{LogitCheck, compare_logits};
pub use options::{AdapterSource, SessionOptions};
pub use state::{GroupInfo, Session};
