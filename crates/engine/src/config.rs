//! A model's sizes and switches: config.json read through its family's row.

use tunesmith_formats::{ModelConfig as HfConfig, RopeScaling};
use tunesmith_ops::{AttentionShape, Code, Error, Result};

use crate::families::{Bias, FAMILIES, Family};

/// transformers' base where a configuration names none.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;

/// Everything the decoder needs to know beside the weights.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// Family.
    pub family: Family,
    /// Vocabulary size.
    pub vocab: usize,
    /// Hidden size `d`.
    pub hidden: usize,
    /// Feed-forward size `f`.
    pub ffn: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Head size `h`.
    pub head_dim: usize,
    /// RMSNorm's epsilon.
    pub eps: f32,
    /// Head and embedding are one matrix.
    pub tied: bool,
    /// Longest sequence the model was made for.
    pub max_positions: usize,
    /// Bias of q, k, v; of o; of the feed-forward projections.
    pub biases: [bool; 3],
    /// Sliding window of each layer.
    pub windows: Vec<Option<usize>>,
    /// Rotary frequencies `[h / 2]`.
    pub inv_freq: Vec<f32>,
}

impl ModelConfig {
    /// Reads a Hugging Face configuration, in the spelling of transformers 4 or 5.
    ///
    /// # Errors
    /// `ModelUnsupported` for an unknown family or feature, `ConfigInvalid` for sizes that contradict each other.
    pub fn new(config: &HfConfig) -> Result<Self> {
        let family = family_of(config)?;
        let hidden = config.size("hidden_size")?;
        let heads = config.size("num_attention_heads")?;
        let kv_heads = config.optional_size("num_key_value_heads")?.unwrap_or(heads);
        let head_dim = config.optional_size("head_dim")?.unwrap_or(hidden / heads);
        let layers = config.size("num_hidden_layers")?;
        if heads % kv_heads != 0 || head_dim % 2 != 0 {
            return Err(config.refuse(
                Code::ConfigInvalid,
                format!(
                    "expected num_key_value_heads to divide num_attention_heads and an even head size, \
                     got {kv_heads}, {heads} and {head_dim}"
                ),
            ));
        }
        refuse_unsupported(config)?;
        let rope = config.rope(DEFAULT_ROPE_THETA)?;
        Ok(Self {
            vocab: config.size("vocab_size")?,
            ffn: config.size("intermediate_size")?,
            eps: config.optional_positive("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            tied: config.flag("tie_word_embeddings", false)?,
            max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(2048),
            biases: [family.qkv_bias, family.o_bias, family.mlp_bias]
                .map(|bias| has_bias(config, bias))
                .into_iter()
                .collect::<Result<Vec<bool>>>()?
                .try_into()
                .map_err(|_| crate::internal("config", "three biases"))?,
            windows: windows(config, &family, layers)?,
            inv_freq: inv_freq(head_dim, rope.theta, &rope.scaling),
            family,
            hidden,
            layers,
            heads,
            kv_heads,
            head_dim,
        })
    }

    /// Heads and mask of a layer.
    pub fn attention(&self, layer: usize) -> AttentionShape {
        AttentionShape {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            scale: (self.head_dim as f32).powf(-0.5),
            window: self.windows[layer],
            soft_cap: None,
        }
    }
}

fn family_of(config: &HfConfig) -> Result<Family> {
    let model_type = config.model_type()?;
    let found = FAMILIES.iter().find(|family| family.model_type == model_type);
    found.copied().ok_or_else(|| {
        let known: Vec<&str> = FAMILIES.iter().map(|family| family.model_type).collect();
        config.refuse(
            Code::ModelUnsupported,
            format!(
                "expected a supported model_type ({}), got {model_type:?}; convert the model or choose one of these families",
                known.join(", ")
            ),
        )
    })
}

fn refuse_unsupported(config: &HfConfig) -> Result<()> {
    let act = config.optional_string("hidden_act")?.unwrap_or("silu");
    if act != "silu" {
        return Err(unsupported(config, "hidden_act", "silu", act));
    }
    // Present and 0 in every released checkpoint; a model trained with it is fine-tuned without, as everywhere.
    match config.value("attention_dropout").and_then(serde_json::Value::as_f64) {
        Some(dropout) if dropout != 0.0 => Err(unsupported(config, "attention_dropout", "0", dropout)),
        _ => Ok(()),
    }
}

fn unsupported(config: &HfConfig, key: &str, expected: &str, got: impl std::fmt::Display) -> Error {
    config.refuse(Code::ModelUnsupported, format!("expected {key} {expected}, got {got}"))
}

fn has_bias(config: &HfConfig, bias: Bias) -> Result<bool> {
    match bias {
        Bias::Never => Ok(false),
        Bias::Always => Ok(true),
        Bias::Key(key) => config.flag(key, false),
    }
}

/// transformers' rule: `layer_types` names each layer; without it `use_sliding_window` with `max_window_layers`; without
/// those a `sliding_window` that is not null holds for every layer.
fn windows(config: &HfConfig, family: &Family, layers: usize) -> Result<Vec<Option<usize>>> {
    let enabled = match config.value("use_sliding_window") {
        None => None,
        Some(_) => Some(config.flag("use_sliding_window", false)?),
    };
    let window = config.optional_size("sliding_window")?;
    let Some(window) = window.filter(|_| family.sliding_window && enabled != Some(false)) else {
        return Ok(vec![None; layers]);
    };
    if let Some(types) = config.optional_strings("layer_types")? {
        if types.len() != layers {
            return Err(
                config.refuse(Code::ConfigInvalid, format!("expected {layers} layer_types, got {}", types.len()))
            );
        }
        return types
            .iter()
            .map(|kind| match *kind {
                "sliding_attention" => Ok(Some(window)),
                "full_attention" => Ok(None),
                other => Err(unsupported(config, "layer_types", "sliding_attention or full_attention", other)),
            })
            .collect();
    }
    let first = if enabled.is_some() { config.optional_size("max_window_layers")?.unwrap_or(0) } else { 0 };
    Ok((0..layers).map(|layer| (layer >= first).then_some(window)).collect())
}

/// `theta^(−2i/h)`, scaled as the configuration says (Llama 3's rule: Meta's `apply_scaling`, as in transformers).
fn inv_freq(head_dim: usize, theta: f64, scaling: &RopeScaling) -> Vec<f32> {
    (0..head_dim / 2)
        .map(|i| {
            let exponent = (2 * i) as f32 / head_dim as f32;
            let plain = 1.0 / (theta as f32).powf(exponent);
            match scaling {
                RopeScaling::Default => plain,
                RopeScaling::Linear { factor } => plain / *factor as f32,
                RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                    llama3(
                        f64::from(plain),
                        *factor,
                        *low_freq_factor,
                        *high_freq_factor,
                        *original_max_position_embeddings as f64,
                    ) as f32
                }
            }
        })
        .collect()
}

fn llama3(freq: f64, factor: f64, low: f64, high: f64, original: f64) -> f64 {
    let wavelength = std::f64::consts::TAU / freq;
    if wavelength < original / high {
        freq
    } else if wavelength > original / low {
        freq / factor
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * freq / factor + smooth * freq
    }
}
