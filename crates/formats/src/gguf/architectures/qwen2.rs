//! `qwen2`: Qwen2 and Qwen2.5.

use super::{Architecture, Head, PLAIN_ROPE, Windows, biased, matrix, norm};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "qwen2",
    model_types: &["qwen2"],
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
    windows: Windows::Never,
    rope: PLAIN_ROPE,
    long_rope: false,
    keys: &[],
    wide_scale_at: None,
    no_rope_step: None,
    square: true,
};
