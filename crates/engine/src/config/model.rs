//! A model's sizes and switches: config.json read through its family's row.

use tunesmith_formats::{ModelConfig as HfConfig, RopeRules};
use tunesmith_ops::{Activation, AttentionShape, Code, LogitTransform, Result};

use super::mixture::MixtureConfig;
use super::refusal::unsupported;
use super::windows;
use crate::families::{Bias, EmbeddingScale, FAMILIES, Family, Number, ScoreScale};
use crate::frequencies::Frequencies;

/// Most layers, and elements of a head: beyond any published model, and small enough for tables with a row for each.
const MOST: [(&str, usize); 2] = [("num_hidden_layers", 1 << 14), ("head_dim", 1 << 14)];

/// Everything the decoder needs to know besides the weights.
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
    /// The model's own file holds quantized matrices.
    pub quantized: bool,
    /// Longest sequence the model was made for.
    pub max_positions: usize,
    /// Bias of q, k, v; of o; of the feed-forward projections.
    pub biases: [bool; 3],
    /// Function of the gate.
    pub activation: Activation,
    /// Sliding window of each layer.
    pub windows: Vec<Option<usize>>,
    /// The model's rotations.
    pub rotations: Vec<Frequencies>,
    /// Which of them each layer has; None: the layer does not rotate.
    pub rotation_of: Vec<Option<usize>>,
    /// Scale of the scores.
    pub score_scale: f32,
    /// Soft cap of the scores.
    pub score_cap: Option<f32>,
    /// Multiplies the embeddings; none means 1.
    pub embedding_scale: Option<f32>,
    /// Multiplies what a block adds to the residual stream; none means 1.
    pub residual_multiplier: Option<f32>,
    /// What becomes of the head's output.
    pub logits: LogitTransform,
    /// Its mixtures of experts, where the family has them.
    pub mixture: Option<MixtureConfig>,
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
        let head_dim = config.optional_size("head_dim")?.or(family.head_dim).unwrap_or(hidden / heads);
        let layers = config.size("num_hidden_layers")?;
        if heads % kv_heads != 0 || head_dim % 2 != 0 || head_dim == 0 {
            return Err(config.refuse(
                Code::ConfigInvalid,
                format!(
                    "expected num_key_value_heads to divide num_attention_heads and an even head size, \
                     got {kv_heads}, {heads} and {head_dim}"
                ),
            ));
        }
        for ((key, most), got) in MOST.into_iter().zip([layers, head_dim]) {
            if got > most {
                return Err(config.refuse(
                    Code::ConfigInvalid,
                    format!("expected at most {most} in `{key}`, got {got}; this is not the configuration of a model"),
                ));
            }
        }
        refuse_unsupported(config)?;
        let kinds = windows::Layers::read(config, &family, layers)?;
        let (rotations, rotation_of) = rotations(config, &family, head_dim, &kinds)?;
        let bias = |bias| has_bias(config, bias);
        Ok(Self {
            vocab: config.size("vocab_size")?,
            ffn: config.size("intermediate_size")?,
            eps: config.optional_positive("rms_norm_eps")?.unwrap_or(family.eps) as f32,
            tied: config.flag("tie_word_embeddings", family.tied)?,
            quantized: config.value("quantization_config").is_some(),
            max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(2048),
            biases: [bias(family.qkv_bias)?, bias(family.o_bias)?, bias(family.mlp_bias)?],
            activation: activation(config, &family)?,
            windows: kinds.windows,
            rotations,
            rotation_of,
            score_scale: score_scale(config, &family, head_dim)?,
            score_cap: optional_number(config, family.score_cap)?.map(|cap| cap as f32),
            embedding_scale: match family.embedding_scale {
                EmbeddingScale::RootOfHidden => Some((hidden as f64).sqrt() as f32),
                EmbeddingScale::Factor(factor) => optional_number(config, factor)?.map(|factor| factor as f32),
            },
            residual_multiplier: optional_number(config, family.residual_multiplier)?.map(|factor| factor as f32),
            logits: LogitTransform {
                factor: optional_number(config, family.logit_divisor)?.map_or(1.0, f64::recip) as f32,
                soft_cap: optional_number(config, family.logit_cap)?.map(|cap| cap as f32),
            },
            mixture: family.mixture.map(|rules| MixtureConfig::read(config, rules, layers)).transpose()?,
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
            scale: self.score_scale,
            window: self.windows[layer],
            soft_cap: self.score_cap,
        }
    }

    /// The length beyond which a sequence rotates differently from its first token on, where there is one.
    pub fn rotation_switch(&self) -> Option<usize> {
        self.rotations.iter().find_map(|rotation| rotation.long.as_ref().map(|long| long.beyond))
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
    // Present and 0 in every released checkpoint; a model trained with it is fine-tuned without, as everywhere.
    for key in ["attention_dropout", "resid_pdrop", "embd_pdrop"] {
        match config.value(key).and_then(serde_json::Value::as_f64) {
            Some(dropout) if dropout != 0.0 => return Err(unsupported(config, key, "0", dropout)),
            _ => {}
        }
    }
    if config.flag("use_bidirectional_attention", false)? {
        return Err(unsupported(config, "use_bidirectional_attention", "false", true));
    }
    Ok(())
}

fn activation(config: &HfConfig, family: &Family) -> Result<Activation> {
    let (key, absent) = family.activation;
    match config.optional_string(key)?.unwrap_or(absent) {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        other => Err(unsupported(config, key, "silu or gelu_pytorch_tanh", other)),
    }
}

fn has_bias(config: &HfConfig, bias: Bias) -> Result<bool> {
    match bias {
        Bias::Never => Ok(false),
        Bias::Always => Ok(true),
        Bias::Key(key) => config.flag(key, false),
    }
}

fn number(config: &HfConfig, number: Number) -> Result<Option<f64>> {
    let absent = !config.as_map().contains_key(number.key);
    if absent { Ok(number.absent) } else { config.optional_positive(number.key) }
}

fn optional_number(config: &HfConfig, given: Option<Number>) -> Result<Option<f64>> {
    given.map_or(Ok(None), |given| number(config, given))
}

fn score_scale(config: &HfConfig, family: &Family, head_dim: usize) -> Result<f32> {
    let required = |given: Number| {
        number(config, given)?.ok_or_else(|| {
            config.refuse(Code::ConfigInvalid, format!("expected a number in `{}`, got null; correct it", given.key))
        })
    };
    Ok(match family.score_scale {
        ScoreScale::HeadSize => (head_dim as f32).powf(-0.5),
        ScoreScale::Factor(given) => required(given)? as f32,
        ScoreScale::InverseRoot(given) => required(given)?.powf(-0.5) as f32,
    })
}

/// The rotations, and which of them each layer has.
fn rotations(
    config: &HfConfig,
    family: &Family,
    head_dim: usize,
    kinds: &windows::Layers,
) -> Result<(Vec<Frequencies>, Vec<Option<usize>>)> {
    let rules = RopeRules { theta: family.rope_theta, partial: family.partial_rotary, windowed: family.windowed_rope };
    let ropes = config.rope(rules)?;
    let refuse = |expected: String| config.refuse(Code::ConfigInvalid, expected);
    let of = |rope| Frequencies::new(head_dim, rope).map_err(refuse);
    let windowed = ropes.windowed.as_ref().map(of).transpose()?;
    let windowed_place = usize::from(windowed.is_some());
    let places = kinds.rotated.iter().zip(&kinds.windows);
    let rotation_of =
        places.map(|(rotated, window)| rotated.then_some(if window.is_some() { windowed_place } else { 0 })).collect();
    Ok(([of(&ropes.full)?].into_iter().chain(windowed).collect(), rotation_of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::Path;

    fn read(model_type: &str, changes: Value) -> Result<ModelConfig> {
        let mut value = json!({ "model_type": model_type, "hidden_size": 64, "num_attention_heads": 4,
            "num_hidden_layers": 2, "vocab_size": 99, "intermediate_size": 80 });
        value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        ModelConfig::new(&HfConfig::from_json(Path::new("config.json"), value).unwrap())
    }

    #[test]
    fn what_a_configuration_leaves_out_is_what_transformers_takes() {
        let gemma = read("gemma2", json!({})).unwrap();
        assert_eq!((gemma.score_cap, gemma.logits.soft_cap), (Some(50.0), Some(30.0)));
        assert_eq!((gemma.head_dim, gemma.score_scale, gemma.embedding_scale), (256, 1.0 / 16.0, Some(8.0)));
        assert_eq!((gemma.activation, gemma.tied), (Activation::GeluTanh, true));
        let uncapped = json!({ "attn_logit_softcapping": null, "final_logit_softcapping": null });
        let uncapped = read("gemma2", uncapped).unwrap();
        assert_eq!((uncapped.score_cap, uncapped.logits), (None, LogitTransform::default()));
        let granite = read("granite", json!({ "logits_scaling": 8, "residual_multiplier": 0.22 })).unwrap();
        assert_eq!((granite.score_scale, granite.logits.factor, granite.residual_multiplier), (1.0, 0.125, Some(0.22)));
        assert_eq!((granite.head_dim, granite.tied), (16, false));
        assert_eq!(read("olmo2", json!({})).unwrap().eps, 1e-5);
    }

    #[test]
    fn every_unsupported_or_impossible_value_is_refused_by_its_key() {
        for (family, key, value, code) in [
            ("llama", "hidden_act", json!("gelu"), Code::ModelUnsupported),
            ("gemma2", "hidden_activation", json!("relu"), Code::ModelUnsupported),
            ("phi3", "resid_pdrop", json!(0.1), Code::ModelUnsupported),
            ("gemma3_text", "use_bidirectional_attention", json!(true), Code::ModelUnsupported),
            ("gemma2", "attn_logit_softcapping", json!(-1), Code::ConfigInvalid),
            ("gemma2", "query_pre_attn_scalar", json!(null), Code::ConfigInvalid),
            ("granite", "logits_scaling", json!(0), Code::ConfigInvalid),
            ("phi3", "partial_rotary_factor", json!(0.2), Code::ConfigInvalid),
            ("llama", "partial_rotary_factor", json!(0.5), Code::ModelUnsupported),
        ] {
            let error = read(family, json!({ key: value })).unwrap_err();
            assert!(error.code == code && error.message.contains(key), "{family} {key}: {error}");
        }
        assert_eq!(read("gpt2", json!({})).unwrap_err().code, Code::ModelUnsupported);
    }

    #[test]
    fn mixtures_and_the_layers_without() {
        let sizes = json!({ "num_experts_per_tok": 2, "moe_intermediate_size": 24, "num_hidden_layers": 4 });
        let mixture = |changes: Value| {
            let mut all = sizes.clone();
            all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            read("qwen3_moe", all).map(|config| config.mixture.unwrap())
        };
        let plain = mixture(json!({ "num_experts": 8 })).unwrap();
        assert_eq!((plain.experts, plain.top_k, plain.ffn, plain.normalize), (8, 2, 24, false));
        assert_eq!(plain.layers, [true; 4]);
        let some = json!({ "num_local_experts": 8, "mlp_only_layers": [3], "decoder_sparse_step": 2 });
        assert_eq!(mixture(some).unwrap().layers, [false, true, false, false]);
        for (changes, code) in [
            (json!({}), Code::ConfigInvalid),
            (json!({ "num_experts": 1 }), Code::ConfigInvalid),
            (json!({ "num_experts": 8, "mlp_only_layers": [-1] }), Code::ConfigInvalid),
            (json!({ "num_experts": 8, "output_router_logits": true }), Code::ModelUnsupported),
        ] {
            assert_eq!(mixture(changes).unwrap_err().code, code);
        }
    }
}
