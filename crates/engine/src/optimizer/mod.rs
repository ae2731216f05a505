//! What is trained and how a step changes it: parameters, their gradients, and the optimizer.

mod parameters;
mod update;

pub use parameters::{Gradients, Group, ParameterId, ParameterSpec, Parameters};
pub use update::{Optimizer, OptimizerOptions, Update, Updated};
