//! `olmo2`: norms after attention and feed-forward block, and over the whole of queries and keys.

use super::architecture::{Architecture, Head, PLAIN, biased, matrix, norm};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "olmo2",
    model_types: &["olmo2"],
    parts: &[
        biased("attn_q", "self_attn.q_proj"),
        norm("attn_q_norm", "self_attn.q_norm"),
        biased("attn_k", "self_attn.k_proj"),
        norm("attn_k_norm", "self_attn.k_norm"),
        biased("attn_v", "self_attn.v_proj"),
        matrix("attn_output", "self_attn.o_proj"),
        norm("post_attention_norm", "post_attention_layernorm"),
        matrix("ffn_gate", "mlp.gate_proj"),
        matrix("ffn_up", "mlp.up_proj"),
        matrix("ffn_down", "mlp.down_proj"),
        norm("post_ffw_norm", "post_feedforward_layernorm"),
    ],
    head: Head::Own,
    square: true,
    ..PLAIN
};
