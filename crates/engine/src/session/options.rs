//! What a session is made of.

use crate::adapter::LoraOptions;
use crate::load::BaseOptions;
use crate::optimizer::OptimizerOptions;

/// Which tensors are adapted.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one a session, and never in a collection")]
pub enum AdapterSource {
    /// None: the base model alone, or full fine-tuning.
    None,
    /// A new LoRA adapter.
    New(LoraOptions),
    /// A PEFT folder.
    Saved(std::path::PathBuf),
}

/// What a session is made of.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// How the weights of the model are held.
    pub base: BaseOptions,
    /// Adapter.
    pub adapter: AdapterSource,
    /// None: nothing is trained.
    pub optimizer: Option<OptimizerOptions>,
    /// Keep layer inputs only, and compute the rest again.
    pub gradient_checkpointing: bool,
    /// Seeds the adapter's first values.
    pub seed: u64,
}
