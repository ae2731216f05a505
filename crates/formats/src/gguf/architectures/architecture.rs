//! What an architecture of llama.cpp is: names of its tensors, keys, and what its configuration may say.

use serde_json::{Value, json};

use crate::rope::RopeRules;

/// One architecture.
#[derive(Debug)]
pub struct Architecture {
    /// `general.architecture`.
    pub name: &'static str,
    /// `model_type` of the configurations it is written from; the first is what it is read as.
    pub model_types: &'static [&'static str],
    /// Tensors of a layer.
    pub parts: &'static [Part],
    /// The rows of queries and keys are stored so that neighbours are rotated together.
    pub interleaved: bool,
    /// What is added to the scale of every norm.
    pub norm_offset: f32,
    /// Where the output head may come from.
    pub head: Head,
    /// The configuration's activation: key and value.
    pub activation: (&'static str, &'static str),
    /// Sliding windows.
    pub windows: SlidingWindows,
    /// What the configuration may say about rotation.
    pub rope: RopeRules,
    /// llama.cpp reads LongRoPE's divisors.
    pub long_rope: bool,
    /// Numbers beside those that every architecture has.
    pub keys: &'static [Key],
    /// llama.cpp scales attention by the head size, but by hidden size / heads in models of so many layers; the
    /// configuration says `query_pre_attn_scalar`.
    pub wide_scale_at: Option<usize>,
    /// The models that llama.cpp calls 70B, whose projections of values get more bits in its mixtures.
    pub wide_values: Option<WideValues>,
    /// Every so many layers one is without rotation.
    pub no_rope_step: Option<usize>,
    /// Queries are as wide as the hidden state.
    pub square: bool,
}

/// One tensor of a layer: its names, and what it may be.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Name below `blk.N.`.
    pub gguf: &'static str,
    /// Name below `model.layers.N.`.
    pub hugging_face: &'static str,
    /// What it is.
    pub kind: PartKind,
}

/// What a tensor of a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// Scale of a norm.
    Norm,
    /// Matrix without a bias.
    Matrix,
    /// Matrix that may have a bias.
    Biased,
}

/// Where the output head may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// From the embedding, or a matrix of its own.
    Either,
    /// From the embedding only.
    Tied,
    /// A matrix of its own only.
    Own,
}

/// Which layers have a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlidingWindows {
    /// None.
    Never,
    /// The file says a window for every layer, and llama.cpp does not use it. The model is read as this `model_type`.
    Unused {
        /// `model_type` of a model with a window.
        model_type: &'static str,
    },
    /// All but the last of every `period` layers, where the file does not list them.
    Pattern {
        /// Layers of a period.
        period: usize,
    },
}

impl SlidingWindows {
    /// Whether a layer of the architecture's own pattern has a window.
    pub fn holds(self, layer: usize) -> bool {
        match self {
            Self::Never => false,
            Self::Unused { .. } => true,
            Self::Pattern { period } => layer.checked_rem(period).is_some_and(|place| place.saturating_add(1) < period),
        }
    }
}

/// Which models have wide values.
#[derive(Debug, Clone, Copy)]
pub struct WideValues {
    /// Those of so many layers,
    pub layers: usize,
    /// where this is set only with fewer key-value heads than heads.
    pub shared_only: bool,
}

/// One number of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Name below the architecture's.
    pub gguf: &'static str,
    /// Key of config.json.
    pub hugging_face: &'static str,
    /// What its absence means.
    pub absent: Absent,
}

/// What the absence of a number means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Absent {
    /// It may not be absent: llama.cpp would put a number of its own in its place.
    Refused,
    /// The feature is off.
    Off,
    /// This number.
    Means(f64),
}

/// Tensors outside the layers: GGUF, Hugging Face.
const OUTER: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

impl Architecture {
    /// The Hugging Face name of a tensor; None where it has no place in this decoder.
    pub fn hugging_face_name(&self, name: &str) -> Option<String> {
        if let Some((_, outer)) = OUTER.iter().find(|(gguf, _)| *gguf == name) {
            return Some((*outer).to_owned());
        }
        let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
        let (part, ending) = part.rsplit_once('.')?;
        let number: u32 = layer.parse().ok()?;
        let part = self.parts.iter().find(|known| known.gguf == part && known.has(ending))?;
        Some(format!("model.layers.{number}.{}.{ending}", part.hugging_face))
    }

    /// The GGUF name of a tensor; None where this architecture has no place for it.
    pub fn gguf_name(&self, name: &str) -> Option<String> {
        if let Some((gguf, _)) = OUTER.iter().find(|(_, outer)| *outer == name) {
            return Some((*gguf).to_owned());
        }
        let (layer, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
        let (part, ending) = part.rsplit_once('.')?;
        let number: u32 = layer.parse().ok()?;
        let part = self.parts.iter().find(|known| known.hugging_face == part && known.has(ending))?;
        Some(format!("blk.{number}.{}.{ending}", part.gguf))
    }

    /// What is added to the elements of a tensor, by its Hugging Face name: norms only.
    pub fn offset(&self, name: &str) -> f32 {
        if name.ends_with("norm.weight") { self.norm_offset } else { 0.0 }
    }

    /// Whether the rows of a tensor, by its Hugging Face name, are interleaved.
    pub fn is_rotated(&self, name: &str) -> bool {
        self.interleaved && [".self_attn.q_proj.", ".self_attn.k_proj."].iter().any(|part| name.contains(part))
    }

    /// The number in a query's scale, 1/√n, as llama.cpp derives it.
    pub fn scale_number(&self, layers: usize, hidden: usize, heads: usize, head_dim: usize) -> usize {
        if self.wide_scale_at == Some(layers) { hidden.checked_div(heads).unwrap_or(head_dim) } else { head_dim }
    }

    /// Configuration keys that follow from the architecture alone.
    pub fn fixed_keys(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let (key, value) = self.activation;
        std::iter::once((key, json!(value)))
    }
}

impl Part {
    fn has(&self, ending: &str) -> bool {
        ending == "weight" || (ending == "bias" && self.kind == PartKind::Biased)
    }
}

/// A pre-norm decoder with SwiGLU whose projections of queries, keys and values may have a bias, without windows: what the
/// architectures are described by their differences from.
pub(super) const PLAIN: Architecture = Architecture {
    name: "",
    model_types: &[],
    parts: &[
        norm("attn_norm", "input_layernorm"),
        biased("attn_q", "self_attn.q_proj"),
        biased("attn_k", "self_attn.k_proj"),
        biased("attn_v", "self_attn.v_proj"),
        matrix("attn_output", "self_attn.o_proj"),
        norm("ffn_norm", "post_attention_layernorm"),
        matrix("ffn_gate", "mlp.gate_proj"),
        matrix("ffn_up", "mlp.up_proj"),
        matrix("ffn_down", "mlp.down_proj"),
    ],
    interleaved: false,
    norm_offset: 0.0,
    head: Head::Either,
    activation: ("hidden_act", "silu"),
    windows: SlidingWindows::Never,
    rope: PLAIN_ROPE,
    long_rope: false,
    keys: &[],
    wide_scale_at: None,
    wide_values: None,
    no_rope_step: None,
    square: false,
};

/// One rotation of whole heads.
pub(super) const PLAIN_ROPE: RopeRules = RopeRules { theta: 10_000.0, partial: false, windowed: None };

pub(super) const fn norm(gguf: &'static str, hugging_face: &'static str) -> Part {
    Part { gguf, hugging_face, kind: PartKind::Norm }
}

pub(super) const fn matrix(gguf: &'static str, hugging_face: &'static str) -> Part {
    Part { gguf, hugging_face, kind: PartKind::Matrix }
}

pub(super) const fn biased(gguf: &'static str, hugging_face: &'static str) -> Part {
    Part { gguf, hugging_face, kind: PartKind::Biased }
}
