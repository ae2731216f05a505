//! `qwen3`: dense Qwen3.

use super::architecture::{Architecture, PLAIN, biased, matrix, norm};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "qwen3",
    model_types: &["qwen3"],
    parts: &[
        norm("attn_norm", "input_layernorm"),
        biased("attn_q", "self_attn.q_proj"),
        norm("attn_q_norm", "self_attn.q_norm"),
        biased("attn_k", "self_attn.k_proj"),
        norm("attn_k_norm", "self_attn.k_norm"),
        biased("attn_v", "self_attn.v_proj"),
        matrix("attn_output", "self_attn.o_proj"),
        norm("ffn_norm", "post_attention_layernorm"),
        matrix("ffn_gate", "mlp.gate_proj"),
        matrix("ffn_up", "mlp.up_proj"),
        matrix("ffn_down", "mlp.down_proj"),
    ],
    ..PLAIN
};
