//! Whole models: their goldens on the CPU and on the emulated device, memory plans, and their way through GGUF.
//!
//! One program for all of them: each holds the engine compiled for a backend, which takes longer than running them.

mod cuda_goldens;
mod cuda_plan;
mod gguf;
mod goldens;
mod rollouts;
