//! Sessions of the engine on the CPU: adapters, objectives, memory plans, four-bit weights, and what holds for all of them.
//!
//! One program: each would hold the engine compiled for the backend, which takes longer than running it.

mod adapters;
#[allow(clippy::unwrap_used, clippy::unnecessary_wraps, reason = "a helper that fails fails its test")]
mod common;
mod embedding;
mod files;
mod noise;
mod objective;
mod out_of_memory;
mod plan;
mod quantized;
mod residual_dropout;
mod rollout;
mod session;
mod starts;
mod tied;
mod tokens;
