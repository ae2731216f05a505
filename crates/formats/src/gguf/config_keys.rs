//! A Hugging Face configuration as GGUF metadata: the way back from `model_config.rs`. What llama.cpp would compute
//! otherwise than the configuration says is refused or noted, never dropped.

use serde_json::Value;
use tunesmith_ops::{Code, Error, Result};

use super::architectures::{ARCHITECTURES, Absent, Architecture, Head, Key, SlidingWindows};
use super::quantization::Mixed;
use super::rope_keys::{self, RopeTensors};
use super::writer::KeyWriter;
use crate::config::ModelConfig;
use crate::rope::{RopeScaling, YarnScaling};

/// transformers' value where a configuration of Gemma names none.
const DEFAULT_SCALE_NUMBER: f64 = 256.0;
/// transformers' value where a configuration names none.
const DEFAULT_CONTEXT: usize = 2048;

/// What an export has to know of a configuration.
pub struct ExportConfig<'a> {
    config: &'a ModelConfig,
    /// The architecture it is written as.
    pub architecture: &'static Architecture,
    /// Layers.
    pub layers: usize,
    /// Elements of a head.
    pub head_dim: usize,
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    context: usize,
    /// Embedding and head are one matrix.
    pub tied: bool,
    /// What a reader should know of the result.
    pub notes: Vec<String>,
}

impl<'a> ExportConfig<'a> {
    /// Looks the architecture up and checks what it cannot express.
    ///
    /// # Errors
    /// `ModelUnsupported` names what llama.cpp's architecture lacks; `ConfigInvalid` a size that is absent.
    pub fn new(config: &'a ModelConfig) -> Result<Self> {
        let model_type = config.model_type()?;
        let found = ARCHITECTURES.into_iter().find(|known| known.model_types.contains(&model_type));
        let Some(architecture) = found else {
            let known: Vec<&str> = ARCHITECTURES.iter().flat_map(|known| known.model_types).copied().collect();
            let message =
                format!("expected a model_type that is written as GGUF ({}), got {model_type}", known.join(", "));
            return Err(unsupported(config, message));
        };
        let (hidden, heads) = (config.size("hidden_size")?, config.size("num_attention_heads")?);
        let this = Self {
            config,
            architecture,
            layers: config.size("num_hidden_layers")?,
            head_dim: config.optional_size("head_dim")?.or(hidden.checked_div(heads)).unwrap_or(0),
            hidden,
            heads,
            kv_heads: config.optional_size("num_key_value_heads")?.unwrap_or(heads),
            context: config.optional_size("max_position_embeddings")?.unwrap_or(DEFAULT_CONTEXT),
            tied: config.flag("tie_word_embeddings", false)?,
            notes: Vec::new(),
        };
        this.check()?;
        Ok(this)
    }

    /// What llama.cpp's mixtures depend on; whether the head is tied and columns have an importance is the caller's to add.
    pub fn mixed(&self) -> Mixed {
        let shared = self.heads != self.kv_heads;
        Mixed {
            layers: self.layers,
            sharing: self.heads.checked_div(self.kv_heads).unwrap_or(1),
            tied: false,
            important: false,
            wide_values: self
                .architecture
                .wide_values
                .is_some_and(|wide| wide.layers == self.layers && (shared || !wide.shared_only)),
        }
    }

    fn check(&self) -> Result<()> {
        let (key, value) = self.architecture.activation;
        let given = [key, "hidden_act", "hidden_activation"].map(|key| self.config.optional_string(key));
        for activation in given {
            match activation? {
                Some(activation) if activation == value => break,
                Some(activation) => return Err(self.unsupported(format!("expected {key} {value}, got {activation}"))),
                None => {}
            }
        }
        if self.architecture.square && self.heads.checked_mul(self.head_dim) != Some(self.hidden) {
            let message =
                format!("expected heads × head_dim to be {}, got {} × {}", self.hidden, self.heads, self.head_dim);
            return Err(self.unsupported(message));
        }
        if self.architecture.wide_scale_at.is_some() {
            let expected = self.architecture.scale_number(self.layers, self.hidden, self.heads, self.head_dim);
            let got = self.config.optional_positive("query_pre_attn_scalar")?.unwrap_or(DEFAULT_SCALE_NUMBER);
            if got != expected as f64 {
                return Err(self.unsupported(format!("expected query_pre_attn_scalar {expected}, got {got}")));
            }
        }
        self.check_rotated_layers()?;
        let other = |key: &&Key| !self.architecture.keys.iter().any(|own| own.hugging_face == key.hugging_face);
        for key in ARCHITECTURES.iter().flat_map(|known| known.keys).filter(other) {
            let value = self.config.value(key.hugging_face);
            if value.is_some_and(|value| key.absent != Absent::Means(value.as_f64().unwrap_or(f64::NAN))) {
                return Err(self.unsupported(format!("expected no {}, got one", key.hugging_face)));
            }
        }
        Ok(())
    }

    /// The layers without rotation, which llama.cpp does not read from the file.
    fn check_rotated_layers(&self) -> Result<()> {
        let rotated = |step: usize| (1..=self.layers).map(|layer| !layer.is_multiple_of(step)).collect::<Vec<bool>>();
        let Some(step) = self.architecture.no_rope_step else { return Ok(()) };
        let given = match self.config.value("no_rope_layers").and_then(Value::as_array) {
            Some(list) => list.iter().map(|flag| flag.as_u64() != Some(0)).collect(),
            None => rotated(self.config.optional_size("no_rope_layer_interval")?.unwrap_or(step)),
        };
        if given == rotated(step) {
            return Ok(());
        }
        let flags: Vec<&str> = given.iter().map(|rotated| if *rotated { "1" } else { "0" }).collect();
        let got = flags.join(", ");
        Err(self.unsupported(format!("expected every layer but each {step}th to be rotated, got no_rope_layers {got}")))
    }

    /// Where the head comes from: None where the file has no tensor of its own for it, else the tensor's name.
    ///
    /// # Errors
    /// `ModelUnsupported` for a head of its own where llama.cpp takes the embedding.
    pub fn head(&self) -> Result<Option<&'static str>> {
        match (self.architecture.head, self.tied) {
            (Head::Either | Head::Tied, true) => Ok(None),
            (Head::Either | Head::Own, false) => Ok(Some("lm_head.weight")),
            (Head::Own, true) => Ok(Some("model.embed_tokens.weight")),
            (Head::Tied, false) => Err(self.unsupported("expected a head tied to the embedding, got one of its own")),
        }
    }

    /// Writes the architecture's keys. Gives the tensors that the rotation needs.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn write(&mut self, keys: &mut KeyWriter, vocab_size: usize) -> Result<RopeTensors> {
        let name = |key: &str| format!("{}.{key}", self.architecture.name);
        let sizes = [
            ("vocab_size", vocab_size),
            ("context_length", self.context),
            ("embedding_length", self.hidden),
            ("block_count", self.layers),
            ("feed_forward_length", self.config.size("intermediate_size")?),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("attention.key_length", self.head_dim),
            ("attention.value_length", self.head_dim),
        ];
        for (key, size) in sizes {
            keys.u32(&name(key), size as u32);
        }
        let eps = self.config.optional_positive("rms_norm_eps")?.unwrap_or(1e-6);
        keys.f32(&name("attention.layer_norm_rms_epsilon"), eps as f32);
        for key in self.architecture.keys {
            match (self.config.optional_positive(key.hugging_face)?, key.absent) {
                (Some(value), _) | (None, Absent::Means(value)) => keys.f32(&name(key.gguf), value as f32),
                (None, Absent::Off) => {}
                (None, Absent::Refused) => {
                    return Err(self.unsupported(format!("expected a number in {}, got none", key.hugging_face)));
                }
            }
        }
        self.write_windows(keys)?;
        self.write_rope(keys)
    }

    fn write_windows(&mut self, keys: &mut KeyWriter) -> Result<()> {
        let name = |key: &str| format!("{}.{key}", self.architecture.name);
        let (window, sliding) = self.windows()?;
        let used = sliding.iter().any(|&sliding| sliding);
        match self.architecture.windows {
            SlidingWindows::Never if used => {
                return Err(self.unsupported(format!("expected attention without a window, got one of {window}")));
            }
            SlidingWindows::Unused { .. } if used && sliding.contains(&false) => {
                return Err(self.unsupported("expected a window on every layer or none, got one on some"));
            }
            SlidingWindows::Unused { .. } if used => {
                keys.u32(&name("attention.sliding_window"), window as u32);
                if window < self.context {
                    self.notes.push(format!(
                        "llama.cpp does not use this model's sliding window: beyond {window} tokens it attends to more"
                    ));
                }
            }
            SlidingWindows::Pattern { .. } => {
                keys.u32(&name("attention.sliding_window"), window as u32);
                let own = (0..self.layers).map(|layer| self.architecture.windows.holds(layer));
                if !own.eq(sliding.iter().copied()) {
                    keys.flags(&name("attention.sliding_window_pattern"), &sliding);
                }
            }
            SlidingWindows::Never | SlidingWindows::Unused { .. } => {}
        }
        Ok(())
    }

    /// The window and the layers it holds for; a window as long as the context is none.
    fn windows(&self) -> Result<(usize, Vec<bool>)> {
        let given = self.config.optional_size("sliding_window")?.unwrap_or(self.context);
        if given >= self.context || !self.config.flag("use_sliding_window", true)? {
            return Ok((self.context, vec![false; self.layers]));
        }
        if let Some(kinds) = self.config.optional_strings("layer_types")? {
            return Ok((given, kinds.iter().map(|kind| *kind == "sliding_attention").collect()));
        }
        let period = match self.config.optional_size("sliding_window_pattern")? {
            Some(period) => SlidingWindows::Pattern { period },
            None => self.architecture.windows,
        };
        let first = self.config.value("max_window_layers").and_then(Value::as_u64).unwrap_or(0);
        let holds = |layer: usize| match period {
            // Qwen's rule: the first layers are without.
            SlidingWindows::Never => layer as u64 >= first,
            windows => windows.holds(layer),
        };
        Ok((given, (0..self.layers).map(holds).collect()))
    }

    fn write_rope(&mut self, keys: &mut KeyWriter) -> Result<RopeTensors> {
        let ropes = self.config.rope(self.architecture.rope)?;
        if let RopeScaling::LongRope(scaling) = &ropes.full.scaling {
            if !self.architecture.long_rope {
                return Err(self.unsupported("expected a rotation without LongRoPE, got one with it"));
            }
            self.notes.push(format!(
                "llama.cpp takes the long rope factors when its context is larger than {} tokens, not when a text is",
                scaling.original_max_position_embeddings
            ));
        }
        if let RopeScaling::Yarn(YarnScaling { beta_fast, beta_slow, .. }) = ropes.full.scaling {
            // Both are written, but only architectures other than ours have them read.
            if (beta_fast, beta_slow) != (32.0, 1.0) {
                self.notes.push(format!(
                    "llama.cpp takes 32 and 1 for YaRN's beta_fast and beta_slow, not this model's {beta_fast} and {beta_slow}"
                ));
            }
        }
        let rotated = (ropes.full.partial * self.head_dim as f64) as usize;
        let written = rope_keys::write(keys, self.architecture.name, &ropes, rotated);
        written.map_err(|message| self.unsupported(message))
    }

    fn unsupported(&self, message: impl std::fmt::Display) -> Error {
        let architecture = self.architecture.name;
        let message =
            format!("{message}: llama.cpp's `{architecture}` has nothing else; keep the model as safetensors");
        self.config.refuse(Code::ModelUnsupported, message)
    }
}

fn unsupported(config: &ModelConfig, message: impl std::fmt::Display) -> Error {
    config.refuse(Code::ModelUnsupported, format!("{message}; keep the model as safetensors"))
}
