//! What a session is made of, as JavaScript gives it.

use std::path::PathBuf;

use napi_derive::napi;
use tunesmith_engine::{AdamWOptions, AdapterOptions, OptimizerOptions, ParameterGroup, WeightDtype, WeightOptions};
use tunesmith_formats::{AdapterConfig, InitLoraWeights, ModuleNames};
use tunesmith_ops::{DType, Nf4Options};

/// A value for the modules whose names end as a regular expression says.
#[napi(object)]
pub struct PatternValue {
    /// Regular expression.
    pub pattern: String,
    /// Rank or alpha.
    pub value: f64,
}

/// A new LoRA adapter, by the names of PEFT's `LoraConfig`.
#[napi(object)]
// PEFT's names.
#[allow(clippy::struct_field_names)]
pub struct Lora {
    /// Rank.
    pub r: u32,
    /// Scale numerator.
    pub lora_alpha: f64,
    /// Share of the input's elements dropped before A in training.
    pub lora_dropout: f64,
    /// Scale by √r in place of r.
    pub use_rslora: bool,
    /// Trained lengths of the weight's rows.
    pub use_dora: bool,
    /// Endings of module names; without them and without a pattern: every linear layer but the head.
    pub target_modules: Option<Vec<String>>,
    /// A regular expression of whole names in their place.
    pub target_pattern: Option<String>,
    /// Endings of the names of modules that are left alone.
    pub exclude_modules: Option<Vec<String>>,
    /// A regular expression of whole names in their place.
    pub exclude_pattern: Option<String>,
    /// Modules trained whole.
    pub modules_to_save: Vec<String>,
    /// Other ranks.
    pub rank_pattern: Vec<PatternValue>,
    /// Other alphas.
    pub alpha_pattern: Vec<PatternValue>,
    /// Layers that are adapted; absent: all.
    pub layers_to_transform: Option<Vec<u32>>,
    /// Names of the lists those are counted in.
    pub layers_pattern: Vec<String>,
    /// `true`, `false` or `gaussian`.
    pub init_lora_weights: String,
}

impl Lora {
    fn into_engine(self) -> AdapterConfig {
        let names = |endings: Option<Vec<String>>, pattern: Option<String>| {
            pattern.map(ModuleNames::Pattern).or(endings.map(ModuleNames::Endings))
        };
        let ranks = self.rank_pattern.into_iter().map(|entry| (entry.pattern, entry.value as usize));
        let alphas = self.alpha_pattern.into_iter().map(|entry| (entry.pattern, entry.value));
        let layers = self.layers_to_transform.map(|layers| layers.into_iter().map(|layer| layer as usize).collect());
        AdapterConfig {
            r: self.r as usize,
            lora_alpha: self.lora_alpha,
            lora_dropout: self.lora_dropout,
            use_rslora: self.use_rslora,
            use_dora: self.use_dora,
            target_modules: names(self.target_modules, self.target_pattern).unwrap_or(ModuleNames::AllLinear),
            exclude_modules: names(self.exclude_modules, self.exclude_pattern),
            modules_to_save: self.modules_to_save,
            rank_pattern: ranks.collect(),
            alpha_pattern: alphas.collect(),
            layers_to_transform: layers,
            layers_pattern: self.layers_pattern,
            init_lora_weights: match self.init_lora_weights.as_str() {
                "gaussian" => InitLoraWeights::Gaussian,
                "false" => InitLoraWeights::Random,
                _ => InitLoraWeights::Kaiming,
            },
            ..AdapterConfig::default()
        }
    }
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
    /// Frozen matrices that are not quantised: `float32`, `bfloat16`, or `auto`, which is bfloat16 beside quantised ones. On a GPU
    /// also what is computed in: float32 where it says so, else bfloat16.
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
    /// Dtype of activations on a CUDA device.
    pub fn cuda_dtype(&self) -> DType {
        if self.dtype == DType::F32.name() { DType::F32 } else { DType::Bf16 }
    }

    /// In the engine's terms.
    pub fn into_engine(self) -> tunesmith_engine::SessionOptions {
        let dtype = match self.dtype.as_str() {
            "auto" => WeightDtype::Auto,
            name if name == DType::Bf16.name() => WeightDtype::Bfloat16,
            _ => WeightDtype::Float32,
        };
        let weights = match self.quantization {
            None => WeightOptions { dtype, ..WeightOptions::default() },
            Some(Quantization { block_size, double_quant, cache_dir }) => WeightOptions {
                dtype,
                cache_dir: cache_dir.map(PathBuf::from),
                ..WeightOptions::nf4(Nf4Options { block_size: block_size as usize, double_quant })
            },
        };
        let adapter = match (self.lora, self.adapter_path) {
            (Some(lora), _) => Some(AdapterOptions::Lora(lora.into_engine())),
            (None, Some(path)) => Some(AdapterOptions::Saved { path: PathBuf::from(path) }),
            (None, None) => None,
        };
        let decay = self.optimizer.as_ref().map_or(0.0, |adamw| adamw.weight_decay);
        tunesmith_engine::SessionOptions {
            weights,
            adapter,
            optimizer: self.optimizer.map(|adamw| {
                OptimizerOptions::AdamW(AdamWOptions {
                    beta1: adamw.adam_beta1,
                    beta2: adamw.adam_beta2,
                    epsilon: adamw.adam_epsilon,
                })
            }),
            parameter_groups: ParameterGroup::of_each_kind(0.0, decay),
            gradient_checkpointing: self.gradient_checkpointing,
            seed: self.seed as u64,
        }
    }
}
