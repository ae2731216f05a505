//! What is trained and how a step changes it: parameters, their gradients and groups, and the optimizer.

mod adafactor;
mod adagrad;
mod adamw;
mod ademamix;
mod groups;
mod lion;
mod lora_fa;
mod muon;
mod options;
mod parameter_group;
mod parameters;
mod patterns;
mod rmsprop;
mod schedule_free;
mod sgd;
mod slot;
mod step;
mod trained;
mod update;

pub use adafactor::AdafactorOptions;
pub use adagrad::AdagradOptions;
pub use adamw::AdamWOptions;
pub use ademamix::AdEmaMixOptions;
pub use groups::GroupInfo;
pub use lion::LionOptions;
pub use lora_fa::LoraFaOptions;
pub use muon::{AdjustLr, MuonOptions};
pub use options::OptimizerOptions;
pub use parameter_group::ParameterGroup;
pub use parameters::{Gradients, ParameterId, ParameterKind, ParameterSpec, Parameters, refuse_non_finite};
pub use rmsprop::RmsPropOptions;
pub use schedule_free::{PointWeights, ScheduleFreeOptions};
pub use sgd::SgdOptions;
pub use slot::{Slot, SlotShape, State};
pub use update::{Optimizer, Update, Updated};
