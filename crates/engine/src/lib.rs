//! One decoder for every family, its training step, its optimizer and its generation, generic over the backend.
//!
//! Backward is written by hand per layer: no graph, no node for a frozen tensor, and what forward keeps is a policy.

pub mod adapter;
pub mod batch;
pub mod config;
pub mod decode;
pub mod decoder;
pub mod families;
pub mod frequencies;
mod internal;
pub mod layer;
pub mod load;
pub mod noise;
pub mod objective;
pub mod optimizer;
pub mod plan;
pub mod recompute;
pub mod rng;
pub mod session;
pub mod workspace;

pub use adapter::{MergeBase, MergedWeights};
pub use batch::{Batch, StepKey};
pub use decode::{Finish, Request, Sampling, TokenEvent, TokenSink};
pub use load::{QuantType, QuantizationInfo, WeightDtype, WeightOptions, adapter_rows};
pub use objective::{Asked, Objective, SequenceSums, TokenCoefficients, TokenValues};
pub use optimizer::{
    AdEmaMixOptions, AdafactorOptions, AdagradOptions, AdamWOptions, AdjustLr, GroupInfo, LionOptions, LoraFaOptions,
    MuonOptions, OptimizerOptions, ParameterGroup, ParameterKind, RmsPropOptions, ScheduleFreeOptions, SgdOptions,
    Update, Updated,
};
pub use plan::{MemoryPlan, PassShape, inspect};
pub use session::{AdapterOptions, AdapterState, Engine, LogitCheck, Session, SessionOptions, compare_logits};
