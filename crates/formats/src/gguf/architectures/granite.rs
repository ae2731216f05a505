//! `granite`: a llama with four multipliers.

use super::{Absent, Architecture, Head, Key, PLAIN_ROPE, Windows, llama};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "granite",
    model_types: &["granite"],
    parts: llama::PARTS,
    interleaved: true,
    norm_offset: 0.0,
    head: Head::Either,
    activation: ("hidden_act", "silu"),
    windows: Windows::Never,
    rope: PLAIN_ROPE,
    long_rope: true,
    keys: &[
        Key { gguf: "attention.scale", hugging_face: "attention_multiplier", absent: Absent::Means(1.0) },
        Key { gguf: "embedding_scale", hugging_face: "embedding_multiplier", absent: Absent::Means(1.0) },
        Key { gguf: "residual_scale", hugging_face: "residual_multiplier", absent: Absent::Means(1.0) },
        Key { gguf: "logit_scale", hugging_face: "logits_scaling", absent: Absent::Means(1.0) },
    ],
    wide_scale_at: None,
    no_rope_step: None,
    square: false,
};
