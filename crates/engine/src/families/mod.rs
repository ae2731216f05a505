//! Model families as data: which configuration keys switch what, and what tensors are called. No behaviour is ever read
//! from a model's name.

mod exaone4;
mod family;
mod gemma2;
mod gemma3;
mod granite;
mod llama;
mod mistral;
pub mod names;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod smollm3;

pub use family::{
    Bias, EmbeddingScale, Family, MixtureRules, Norms, Number, Projections, QkNorm, Rotated, ScoreScale, SharedInput,
    SlidingWindow, WindowedLayers,
};

/// Every family, by `model_type`.
pub const FAMILIES: [Family; 12] = [
    exaone4::FAMILY,
    gemma2::FAMILY,
    gemma3::FAMILY,
    granite::FAMILY,
    llama::FAMILY,
    mistral::FAMILY,
    olmo2::FAMILY,
    phi3::FAMILY,
    qwen2::FAMILY,
    qwen3::FAMILY,
    qwen3_moe::FAMILY,
    smollm3::FAMILY,
];
