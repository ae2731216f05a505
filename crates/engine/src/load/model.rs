//! From a model file to a decoder.

use tunesmith_formats::TensorSource;
use tunesmith_ops::{Backend, Result};

use super::layer::layer;
use super::options::WeightOptions;
use super::quantize::QuantizationInfo;
use super::weights::Loader;
use crate::config::ModelConfig;
use crate::decoder::Decoder;
use crate::families::names;
use crate::layer::{FrozenWeights, Linear, Rotary};
use crate::objective::Head;
use crate::optimizer::Parameters;

/// A loaded model.
pub struct Loaded<B: Backend> {
    /// The decoder.
    pub decoder: Decoder<B>,
    /// Trained tensors: every weight when everything is trained, else none yet.
    pub parameters: Parameters<B>,
    /// Parameters of the base model.
    pub total_parameters: usize,
    /// Tensors of the file that the model does not have, sorted.
    pub unused: Vec<String>,
    /// How the linear layers are quantised.
    pub quantization: Option<QuantizationInfo>,
    /// Tokens whose rows of the embedding hold nothing.
    pub untrained_tokens: Vec<u32>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Loads a whole model from an opened file. With `train_all` every tensor becomes a parameter.
///
/// # Errors
/// `FileInvalid` for a missing tensor or a wrong shape, `NonFinite` for NaN or infinity, `OutOfMemory`.
pub fn load<B: Backend>(
    backend: &B,
    source: &dyn TensorSource,
    train_all: bool,
    weights: &WeightOptions,
    config: ModelConfig,
) -> Result<Loaded<B>> {
    let mut loader = Loader::new(backend, source, train_all, weights, config.quantized);
    let (v, d) = (config.vocab, config.hidden);
    let untrained_tokens = loader.untrained_tokens(&config)?;
    let embedding = loader.embedding(&config)?;
    let layers = (0..config.layers).map(|index| layer(&mut loader, &config, index)).collect::<Result<Vec<_>>>()?;
    let norm = loader.norm(names::FINAL_NORM, d, &config)?;
    let head_name = format!("{}.weight", names::HEAD);
    let weight = if config.tied { embedding.table.clone() } else { loader.matrix(&head_name, v, d)? };
    let linear = Linear { module: names::HEAD.to_owned(), n: v, k: d, weight, bias: None, lora: None, tokens: None };
    let four_bits = loader.quantizer.info().is_some();
    let frozen = FrozenWeights { storage: weights.storage(config.quantized), four_bits, tied: config.tied };
    let rotations = config.rotations.iter();
    let rotations = rotations.map(|rotation| Rotary::new(backend, rotation)).collect::<Result<_>>()?;
    let head = Head { norm, linear, transform: config.logits };
    let mut unused = loader.unused();
    // A tied head that is stored as well is the embedding once more: opening the files has compared them.
    unused.retain(|name| !config.tied || *name != head_name);
    Ok(Loaded {
        decoder: Decoder { config, embedding, layers, head, frozen, rotations },
        parameters: loader.parameters,
        total_parameters: loader.count,
        unused,
        untrained_tokens,
        quantization: loader.quantizer.info(),
        warnings: loader.quantizer.into_warnings(),
    })
}
