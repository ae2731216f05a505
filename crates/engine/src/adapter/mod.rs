//! Adapters: which modules they are put on, PEFT folders, the adapters of a session by name, and merging.

mod candidate;
mod convert;
mod decompose;
mod experts;
mod idle;
mod initial;
mod matrices;
mod merge;
mod modules;
mod peft;
mod registry;
mod taken;
mod targets;
mod tensors;
mod tied;
mod tokens;
mod tying;
mod values;
mod whole;

pub use candidate::{Candidate, CandidateKind};
pub use merge::{MergeBase, MergedWeights, with_dtype};
pub use modules::{Module, linears, modules};
pub use peft::Adapter;
pub use registry::{Adapters, DEFAULT_ADAPTER};
pub use targets::Targets;
