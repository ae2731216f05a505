//! Model files as they are written by others, and what is refused of them.
//!
//! One program, as each would hold the readers once more; mutated files have their own, `hostile`.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod fixtures;
mod gguf;
mod model_files;
mod quants;
mod safetensors;
