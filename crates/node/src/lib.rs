//! The binding to Node: the only crate that knows JavaScript.
//!
//! Every engine lives on a thread of its own and takes its work from a queue, so the event loop is never blocked and the calls
//! of one session happen in order. Plain data crosses the boundary: typed arrays are copied in and handed out, and no thread
//! holds a JavaScript value.

// What napi hands to an exported function is owned by it, and a promise is of no use to Rust.
#![allow(clippy::needless_pass_by_value)]
// napi registers exports outside of tests only.
#![cfg_attr(test, allow(dead_code))]

mod batch;
mod companions;
mod deferred;
mod device;
mod engine_thread;
mod error;
mod export;
mod generate;
mod generator;
mod heap;
mod mapped;
mod model;
mod session;
mod session_info;
mod similarity;
mod system_info;
mod tokenizer;
mod training;
mod values;
