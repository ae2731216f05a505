//! What is trained and how a step changes it: parameters, their gradients and groups, and the optimizer.

mod adamw;
mod groups;
mod options;
mod parameters;
mod sgd;
mod slot;
mod trained;
mod update;

pub use adamw::AdamWOptions;
pub use groups::{GroupInfo, ParameterGroup};
pub use options::OptimizerOptions;
pub use parameters::{Gradients, ParameterId, ParameterKind, ParameterSpec, Parameters, refuse_non_finite};
pub use sgd::SgdOptions;
pub use slot::{Slot, SlotShape, State};
pub use update::{Optimizer, Update, Updated};
