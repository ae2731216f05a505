//! Tensor names that all families share.

/// Token embedding.
pub const EMBEDDING: &str = "model.embed_tokens.weight";
/// Final norm.
pub const FINAL_NORM: &str = "model.norm.weight";
/// Output head, absent when tied to the embedding.
pub const HEAD: &str = "lm_head";
/// Query norm.
pub const Q_NORM: &str = "self_attn.q_norm.weight";
/// Key norm.
pub const K_NORM: &str = "self_attn.k_norm.weight";

/// Prefix of a layer's tensors.
pub fn layer(index: usize) -> String {
    format!("model.layers.{index}.")
}
