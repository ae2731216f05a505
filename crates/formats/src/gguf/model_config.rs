//! GGUF metadata as the `config.json` that Hugging Face would hold for the same model.

use std::path::Path;

use serde_json::{Map, Value, json};
use tunesmith_ops::{Code, Result};

use super::architectures::{ARCHITECTURES, Absent, Architecture, SlidingWindows};
use super::config_reader::ConfigReader;
use super::metadata::Metadata;
use super::rope_keys::RopeTensors;
use super::tokenizer::token_id;
use crate::config::ModelConfig;
use crate::input::unsupported;

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
    /// Tensors of the rotation.
    pub rope: RopeTensors,
}

/// The architecture of a file, if it is one of the understood ones.
pub fn architecture(path: &Path, metadata: &Metadata) -> Result<&'static Architecture> {
    let name = metadata.text("general.architecture")?.unwrap_or("none");
    let Some(found) = ARCHITECTURES.into_iter().find(|architecture| architecture.name == name) else {
        let known: Vec<&str> = ARCHITECTURES.iter().map(|architecture| architecture.name).collect();
        return Err(unsupported(
            path,
            format!("expected the architecture {}, got {name}; use another model", known.join(", ")),
        ));
    };
    if let Some(experts) = metadata.integer(&format!("{name}.expert_count"))?.filter(|&experts| experts > 0) {
        return Err(unsupported(path, format!("expected a dense model, got {experts} experts; use another model")));
    }
    Ok(found)
}

impl ConfigReader<'_> {
    /// The whole configuration.
    pub fn config(&self, facts: &TensorFacts) -> Result<ModelConfig> {
        let heads = self.required("attention.head_count")?;
        let mut config = Map::new();
        config.extend(self.architecture.fixed_keys().map(|(key, value)| (key.to_owned(), value)));
        let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
        set("hidden_size", json!(self.required("embedding_length")?));
        set("intermediate_size", json!(self.required("feed_forward_length")?));
        set("num_hidden_layers", json!(self.required("block_count")?));
        set("num_attention_heads", json!(heads));
        set("num_key_value_heads", json!(self.integer("attention.head_count_kv")?.unwrap_or(heads)));
        set("head_dim", json!(self.head_dim()?));
        set("max_position_embeddings", json!(self.required("context_length")?));
        set("rms_norm_eps", json!(self.float("attention.layer_norm_rms_epsilon")?));
        set("rope_parameters", self.rope(&facts.rope)?);
        set("vocab_size", json!(facts.vocab_size));
        set("tie_word_embeddings", json!(!facts.has_head));
        set("attention_bias", json!(facts.attention_bias));
        set("mlp_bias", json!(facts.mlp_bias));
        set("bos_token_id", json!(token_id(self.metadata, "bos")?));
        set("eos_token_id", self.end_ids()?);
        set("pad_token_id", json!(token_id(self.metadata, "padding")?));
        self.numbers(&mut set)?;
        self.layers(&mut set)?;
        ModelConfig::from_json(self.path, Value::Object(config))
    }

    /// The architecture's own numbers.
    fn numbers(&self, set: &mut impl FnMut(&str, Value) -> Option<Value>) -> Result<()> {
        for key in self.architecture.keys {
            let value = match (self.float(key.gguf)?, key.absent) {
                (Some(value), _) | (None, Absent::Means(value)) => json!(value),
                (None, Absent::Off) => Value::Null,
                (None, Absent::Refused) => {
                    let message = format!("expected a number in `{}`, got none", self.key(key.gguf));
                    return Err(self.refuse(Code::ConfigInvalid, message));
                }
            };
            set(key.hugging_face, value);
        }
        if self.architecture.wide_scale_at.is_some() {
            let size = |key| Ok(usize::try_from(self.required(key)?).unwrap_or(usize::MAX));
            let head_dim = usize::try_from(self.head_dim()?).unwrap_or(usize::MAX);
            let [layers, hidden, heads] =
                [size("block_count")?, size("embedding_length")?, size("attention.head_count")?];
            set("query_pre_attn_scalar", json!(self.architecture.scale_number(layers, hidden, heads, head_dim)));
        }
        Ok(())
    }

    /// What differs between layers: windows and rotation. Sets `model_type` too, which a window may decide.
    fn layers(&self, set: &mut impl FnMut(&str, Value) -> Option<Value>) -> Result<()> {
        let window = self.integer("attention.sliding_window")?.filter(|&window| window > 0);
        let mut model_type = self.architecture.model_types.first().copied().unwrap_or_default();
        match (self.architecture.windows, window) {
            (_, None) => {}
            (SlidingWindows::Unused { model_type: windowed }, Some(_)) => model_type = windowed,
            (SlidingWindows::Pattern { .. }, Some(_)) => {
                let kinds = self.windowed_layers()?.into_iter();
                let kinds = kinds.map(|sliding| if sliding { "sliding_attention" } else { "full_attention" });
                set("layer_types", kinds.collect::<Vec<&str>>().into());
            }
            (SlidingWindows::Never, Some(window)) => {
                let message = format!("expected no sliding window for {}, got {window}", self.architecture.name);
                return Err(self.refuse(Code::ModelUnsupported, message));
            }
        }
        set("model_type", json!(model_type));
        set("sliding_window", json!(window));
        if let Some(step) = self.architecture.no_rope_step {
            let rotated = (1..=self.layer_count()?).map(|layer| u32::from(!layer.is_multiple_of(step)));
            set("no_rope_layers", rotated.collect::<Vec<u32>>().into());
        }
        Ok(())
    }

    /// Which layers have a window: as the file lists them, else by a period, the file's or the architecture's own.
    fn windowed_layers(&self) -> Result<Vec<bool>> {
        let (layers, key) = (self.layer_count()?, self.key("attention.sliding_window_pattern"));
        if let Some(listed) = self.metadata.flags(&key, self.bytes)? {
            if listed.len() != layers {
                let message = format!("expected {layers} flags in `{key}`, got {}", listed.len());
                return Err(self.refuse(Code::ConfigInvalid, message));
            }
            return Ok(listed);
        }
        let given = self.metadata.integer(&key)?.and_then(|period| usize::try_from(period).ok());
        let windows = match given.filter(|&period| period > 0) {
            Some(period) => SlidingWindows::Pattern { period },
            None => self.architecture.windows,
        };
        Ok((0..layers).map(|layer| windows.holds(layer)).collect())
    }

    /// Layers, at most as many as a table of tensors could hold.
    fn layer_count(&self) -> Result<usize> {
        let count = self.required("block_count")?;
        let fits = usize::try_from(count).ok().filter(|&count| count <= super::tensors::COUNT_LIMITS.1);
        fits.ok_or_else(|| {
            self.refuse(Code::ConfigInvalid, format!("expected a possible number of layers, got {count}"))
        })
    }

    /// Base of the rotation; llama.cpp's default where none is written.
    pub fn rope_theta(&self) -> Result<f64> {
        Ok(self.float("rope.freq_base")?.unwrap_or(10_000.0))
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
}
