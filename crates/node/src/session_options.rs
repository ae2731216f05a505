//! What a session is made of, as JavaScript gives it.

use std::path::PathBuf;

use napi_derive::napi;
use tunesmith_engine::{AdapterSource, BaseOptions, LoraOptions, OptimizerOptions, QuantizeOptions, Targets};
use tunesmith_ops::{DType, Nf4Options, Storage};

/// A new LoRA adapter.
#[napi(object)]
// PEFT's name.
#[allow(clippy::struct_field_names)]
pub struct Lora {
    /// Rank.
    pub r: u32,
    /// Scale numerator.
    pub lora_alpha: f64,
    /// Endings of module names; absent: every linear layer but the head.
    pub target_modules: Option<Vec<String>>,
    /// Scale by √r in place of r.
    pub use_rslora: bool,
}

/// AdamW's constants.
#[napi(object)]
pub struct AdamW {
    /// Decay of the first moment.
    pub adam_beta1: f64,
    /// Decay of the second moment.
    pub adam_beta2: f64,
    /// Added to the root of the second moment.
    pub adam_epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

/// Quantising the linear layers at load.
#[napi(object)]
pub struct Quantization {
    /// Weights that share a scale.
    pub block_size: u32,
    /// Hold the scales in eight bits.
    pub double_quant: bool,
    /// Folder in which quantised matrices are kept for the next load.
    pub cache_dir: Option<String>,
}

/// What a session is made of.
#[napi(object)]
pub struct SessionOptions {
    /// `cuda`, `cpu` or `auto`.
    pub device: String,
    /// Threads; 0: as many as the process may use at once.
    pub threads: u32,
    /// Frozen matrices that are not quantised: `float32`, `bfloat16`, or `auto`, which is bfloat16 beside quantised ones.
    pub dtype: String,
    /// Absent: the linear layers are held as their file has them.
    pub quantization: Option<Quantization>,
    /// A new adapter.
    pub lora: Option<Lora>,
    /// A PEFT folder to continue.
    pub adapter_path: Option<String>,
    /// Absent: nothing is trained.
    pub optimizer: Option<AdamW>,
    /// Recompute layers in backward.
    pub gradient_checkpointing: bool,
    /// Seeds the adapter's first values: an integer from 0.
    pub seed: f64,
}

impl SessionOptions {
    /// In the engine's terms; `quantized` says that the model's own file holds quantised matrices.
    pub fn into_engine(self, quantized: bool) -> tunesmith_engine::SessionOptions {
        let small = match self.dtype.as_str() {
            "auto" => quantized || self.quantization.is_some(),
            name => name == DType::Bf16.name(),
        };
        let base = BaseOptions {
            storage: if small { Storage::Bf16 } else { Storage::F32 },
            quantization: self.quantization.map(|options| QuantizeOptions {
                nf4: Nf4Options { block_size: options.block_size as usize, double_quant: options.double_quant },
                cache: options.cache_dir.map(PathBuf::from),
            }),
        };
        let adapter = match (self.lora, self.adapter_path) {
            (Some(lora), _) => AdapterSource::New(LoraOptions {
                r: lora.r as usize,
                lora_alpha: lora.lora_alpha,
                target_modules: lora.target_modules.map_or(Targets::AllLinear, Targets::Suffixes),
                use_rslora: lora.use_rslora,
            }),
            (None, Some(path)) => AdapterSource::Saved(PathBuf::from(path)),
            (None, None) => AdapterSource::None,
        };
        tunesmith_engine::SessionOptions {
            base,
            adapter,
            optimizer: self.optimizer.map(|adamw| OptimizerOptions {
                adam_beta1: adamw.adam_beta1,
                adam_beta2: adamw.adam_beta2,
                adam_epsilon: adamw.adam_epsilon,
                weight_decay: adamw.weight_decay,
            }),
            gradient_checkpointing: self.gradient_checkpointing,
            seed: self.seed as u64,
        }
    }
}
