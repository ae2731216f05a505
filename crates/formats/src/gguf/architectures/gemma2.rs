//! `gemma2`: capped logits, four norms that count from one, every second layer with a window.

use super::architecture::{Absent, Architecture, Head, Key, PLAIN, Part, SlidingWindows, biased, matrix, norm};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "gemma2",
    model_types: &["gemma2"],
    parts: PARTS,
    norm_offset: 1.0,
    head: Head::Tied,
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    windows: SlidingWindows::Pattern { period: 2 },
    keys: &[
        Key { gguf: "attn_logit_softcapping", hugging_face: "attn_logit_softcapping", absent: Absent::Refused },
        Key { gguf: "final_logit_softcapping", hugging_face: "final_logit_softcapping", absent: Absent::Refused },
    ],
    wide_scale_at: Some(46),
    ..PLAIN
};

const PARTS: &[Part] = &[
    norm("attn_norm", "input_layernorm"),
    biased("attn_q", "self_attn.q_proj"),
    biased("attn_k", "self_attn.k_proj"),
    biased("attn_v", "self_attn.v_proj"),
    matrix("attn_output", "self_attn.o_proj"),
    norm("post_attention_norm", "post_attention_layernorm"),
    norm("ffn_norm", "pre_feedforward_layernorm"),
    matrix("ffn_gate", "mlp.gate_proj"),
    matrix("ffn_up", "mlp.up_proj"),
    matrix("ffn_down", "mlp.down_proj"),
    norm("post_ffw_norm", "post_feedforward_layernorm"),
];
