//! `phi3`: Phi-3 and Phi-4-mini, whose projections are fused; llama.cpp does not use their window.

use crate::rope::RopeRules;

use super::architecture::{Architecture, PLAIN, PLAIN_ROPE, SlidingWindows, biased, matrix, norm};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "phi3",
    model_types: &["phi3"],
    parts: &[
        norm("attn_norm", "input_layernorm"),
        biased("attn_qkv", "self_attn.qkv_proj"),
        matrix("attn_output", "self_attn.o_proj"),
        norm("ffn_norm", "post_attention_layernorm"),
        matrix("ffn_up", "mlp.gate_up_proj"),
        matrix("ffn_down", "mlp.down_proj"),
    ],
    windows: SlidingWindows::Unused { model_type: "phi3" },
    rope: RopeRules { partial: true, ..PLAIN_ROPE },
    long_rope: true,
    square: true,
    ..PLAIN
};
