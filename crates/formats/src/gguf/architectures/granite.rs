//! `granite`: a llama with four multipliers.

use super::architecture::{Absent, Architecture, Key, PLAIN};
use super::llama;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "granite",
    model_types: &["granite"],
    parts: llama::PARTS,
    interleaved: true,
    long_rope: true,
    keys: &[
        Key { gguf: "attention.scale", hugging_face: "attention_multiplier", absent: Absent::Means(1.0) },
        Key { gguf: "embedding_scale", hugging_face: "embedding_multiplier", absent: Absent::Means(1.0) },
        Key { gguf: "residual_scale", hugging_face: "residual_multiplier", absent: Absent::Means(1.0) },
        Key { gguf: "logit_scale", hugging_face: "logits_scaling", absent: Absent::Means(1.0) },
    ],
    ..PLAIN
};
