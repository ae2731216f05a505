//! GGUF metadata as the `config.json` that Hugging Face would hold for the same model.

use std::path::Path;

use serde_json::{Value, json};
use tunesmith_ops::{Code, Error, Result};

use super::metadata::Metadata;
use super::tokenizer::token_id;
use crate::config::ModelConfig;
use crate::input::unsupported;
use crate::rope::RopeScaling;

/// Architectures whose metadata and tensor names are understood. Mistral models are written as `llama`.
const ARCHITECTURES: [&str; 3] = ["llama", "qwen2", "qwen3"];

/// What of the tensors the configuration depends on.
pub struct TensorFacts {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Whether there is a head of its own.
    pub has_head: bool,
    /// Whether the query projection has a bias.
    pub attention_bias: bool,
    /// Whether the gate projection has a bias.
    pub mlp_bias: bool,
    /// Scaling found in `rope_freqs.weight`.
    pub rope_freqs: Option<RopeScaling>,
}

/// The architecture's name, if it is one of the understood ones.
pub fn architecture<'a>(path: &Path, metadata: &'a Metadata) -> Result<&'a str> {
    let name = metadata.text("general.architecture")?.unwrap_or("none");
    if !ARCHITECTURES.contains(&name) {
        return Err(unsupported(
            path,
            format!("expected the architecture {}, got {name}; use another model", ARCHITECTURES.join(", ")),
        ));
    }
    if let Some(experts) = metadata.integer(&format!("{name}.expert_count"))?.filter(|&experts| experts > 0) {
        return Err(unsupported(path, format!("expected a dense model, got {experts} experts; use another model")));
    }
    Ok(name)
}

/// Reads the keys of one architecture, naming them in full in errors.
pub struct ConfigReader<'a> {
    pub path: &'a Path,
    pub metadata: &'a Metadata,
    pub architecture: &'a str,
}

impl ConfigReader<'_> {
    /// The whole configuration.
    pub fn config(&self, facts: &TensorFacts) -> Result<ModelConfig> {
        let heads = self.required("attention.head_count")?;
        let window = self.integer("attention.sliding_window")?.filter(|&window| window > 0);
        let model_type = match (self.architecture, window) {
            ("llama", Some(_)) => "mistral",
            (other, None) => other,
            (other, Some(window)) => {
                return Err(unsupported(
                    self.path,
                    format!("expected no sliding window for {other}, got {window}; use another model"),
                ));
            }
        };
        let value = json!({
            "model_type": model_type,
            "hidden_size": self.required("embedding_length")?,
            "intermediate_size": self.required("feed_forward_length")?,
            "num_hidden_layers": self.required("block_count")?,
            "num_attention_heads": heads,
            "num_key_value_heads": self.integer("attention.head_count_kv")?.unwrap_or(heads),
            "head_dim": self.head_dim()?,
            "hidden_act": "silu",
            "max_position_embeddings": self.required("context_length")?,
            "rms_norm_eps": self.metadata.float(&self.key("attention.layer_norm_rms_epsilon"))?,
            "rope_parameters": self.rope(facts)?,
            "sliding_window": window,
            "vocab_size": facts.vocab_size,
            "tie_word_embeddings": !facts.has_head,
            "attention_bias": facts.attention_bias,
            "mlp_bias": facts.mlp_bias,
            "bos_token_id": token_id(self.metadata, "bos")?,
            "eos_token_id": self.end_ids()?,
            "pad_token_id": token_id(self.metadata, "padding")?,
        });
        ModelConfig::from_json(self.path, value)
    }

    /// Elements of one head. A rotation of only a part of each head is refused.
    pub fn head_dim(&self) -> Result<u64> {
        let (hidden, heads) = (self.required("embedding_length")?, self.required("attention.head_count")?);
        let given = self.integer("attention.key_length")?;
        let head_dim = given.or(hidden.is_multiple_of(heads).then_some(hidden / heads));
        let Some(head_dim) = head_dim.filter(|&head_dim| head_dim > 0 && head_dim.is_multiple_of(2)) else {
            return Err(self.refuse(
                Code::ConfigInvalid,
                format!("expected an even head size, got {hidden} elements for {heads} heads"),
            ));
        };
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let Some(other) = self.integer(key)?.filter(|&other| other != head_dim) {
                return Err(self.refuse(
                    Code::ModelUnsupported,
                    format!("expected {head_dim} in `{}`, got {other}", self.key(key)),
                ));
            }
        }
        Ok(head_dim)
    }

    /// Base of the rotation; llama.cpp's default where none is written.
    pub fn rope_theta(&self) -> Result<f64> {
        Ok(self.metadata.float(&self.key("rope.freq_base"))?.unwrap_or(10_000.0))
    }

    fn rope(&self, facts: &TensorFacts) -> Result<Value> {
        let understood = [
            "freq_base",
            "dimension_count",
            "scaling.type",
            "scaling.factor",
            "scaling.original_context_length",
            "scaling.finetuned",
        ];
        let prefix = self.key("rope.");
        for key in self.metadata.keys().filter_map(|key| key.strip_prefix(&prefix)) {
            if !understood.contains(&key) {
                return Err(self.refuse(
                    Code::ModelUnsupported,
                    format!("expected known keys of the rotary embedding, got `{prefix}{key}`"),
                ));
            }
        }
        let theta = self.rope_theta()?;
        let kind = self.metadata.text(&self.key("rope.scaling.type"))?.unwrap_or("none");
        match (kind, facts.rope_freqs) {
            ("none", None | Some(RopeScaling::Default)) => Ok(json!({ "rope_type": "default", "rope_theta": theta })),
            (
                "none",
                Some(RopeScaling::Llama3 {
                    factor,
                    low_freq_factor,
                    high_freq_factor,
                    original_max_position_embeddings,
                }),
            ) => Ok(json!({
                "rope_type": "llama3",
                "rope_theta": theta,
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            })),
            ("linear", None) => {
                let factor = self.metadata.float(&self.key("rope.scaling.factor"))?;
                Ok(json!({ "rope_type": "linear", "rope_theta": theta, "factor": factor }))
            }
            (other, _) => {
                Err(self.refuse(Code::ModelUnsupported, format!("expected rope scaling none or linear, got {other}")))
            }
        }
    }

    /// End of text and, where it differs, end of turn.
    fn end_ids(&self) -> Result<Value> {
        let mut ids: Vec<u32> =
            token_id(self.metadata, "eos")?.into_iter().chain(token_id(self.metadata, "eot")?).collect();
        ids.dedup();
        Ok(match ids.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        })
    }

    fn required(&self, key: &str) -> Result<u64> {
        let value = self.integer(key)?.filter(|&value| value > 0);
        value.ok_or_else(|| {
            self.refuse(Code::ConfigInvalid, format!("expected a number above 0 in `{}`, got none", self.key(key)))
        })
    }

    fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.metadata.integer(&self.key(key))
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn refuse(&self, code: Code, message: impl std::fmt::Display) -> Error {
        Error::new(code, self.path.display().to_string(), format!("{message}; use another model"))
    }
}
