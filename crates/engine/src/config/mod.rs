//! A model's sizes and switches: config.json read through its family's row.

mod mixture;
mod model;
mod refusal;
mod windows;

pub use mixture::MixtureConfig;
pub use model::ModelConfig;
