//! Sessions of the engine on the CPU: adapters, objectives, memory plans, four-bit weights, and what holds for all of them.
//!
//! One program: each would hold the engine compiled for the backend, which takes longer than running it.

mod adapters;
mod common;
mod objective;
mod plan;
mod quantized;
mod session;
