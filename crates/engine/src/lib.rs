//! One decoder for every family, its training step, its optimizer and its generation, generic over the backend.
//!
//! Backward is written by hand per layer: no graph, no node for a frozen tensor, and what forward keeps is a policy.

pub mod adapted;
pub mod adapter;
pub mod adapters;
pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod families;
pub mod frequencies;
pub mod generate;
pub mod kv_cache;
pub mod layer;
pub mod linear;
pub mod lora;
pub mod loss;
pub mod merge;
pub mod merge_check;
pub mod modules;
mod nf4_cache;
pub mod norm;
pub mod optimizer;
pub mod parameters;
pub mod plan;
pub mod quantize;
pub mod recompute;
pub mod rng;
pub mod sampling;
pub mod session;
pub mod weights;
pub mod workspace;

pub use batch::{Batch, StepKey};
pub use generate::{Finish, Request, TokenEvent};
pub use lora::{InitLoraWeights, LoraOptions};
pub use loss::SequenceSums;
pub use merge::{MergeBase, MergedWeights};
pub use merge_check::{LogitCheck, compare_logits};
pub use optimizer::{OptimizerOptions, Update, Updated};
pub use plan::{MemoryPlan, PassShape};
pub use quantize::{BaseOptions, QuantizationInfo, QuantizeOptions};
pub use sampling::Sampling;
pub use session::{AdapterSource, GroupInfo, Session, SessionOptions};

/// A state that our own code should have made impossible.
pub(crate) fn internal(place: &str, expected: &str) -> tunesmith_ops::Error {
    tunesmith_ops::Error::new(tunesmith_ops::Code::Internal, place, format!("expected {expected}; please report this"))
}
