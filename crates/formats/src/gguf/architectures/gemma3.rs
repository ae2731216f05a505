//! `gemma3`: the text decoder of Gemma 3, with QK-norm, two rotary bases, and five of six layers with a window.

use crate::rope::{RopeRules, WindowedRope};

use super::architecture::{Absent, Architecture, Key, PLAIN, Part, SlidingWindows, biased, matrix, norm};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "gemma3",
    model_types: &["gemma3_text"],
    parts: PARTS,
    norm_offset: 1.0,
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    windows: SlidingWindows::Pattern { period: 6 },
    rope: RopeRules {
        theta: 1e6,
        partial: false,
        windowed: Some(WindowedRope { theta_key: "rope_local_base_freq", theta: 10_000.0 }),
    },
    keys: &[Key { gguf: "final_logit_softcapping", hugging_face: "final_logit_softcapping", absent: Absent::Off }],
    wide_scale_at: Some(62),
    ..PLAIN
};

const PARTS: &[Part] = &[
    norm("attn_norm", "input_layernorm"),
    biased("attn_q", "self_attn.q_proj"),
    norm("attn_q_norm", "self_attn.q_norm"),
    biased("attn_k", "self_attn.k_proj"),
    norm("attn_k_norm", "self_attn.k_norm"),
    biased("attn_v", "self_attn.v_proj"),
    matrix("attn_output", "self_attn.o_proj"),
    norm("post_attention_norm", "post_attention_layernorm"),
    norm("ffn_norm", "pre_feedforward_layernorm"),
    matrix("ffn_gate", "mlp.gate_proj"),
    matrix("ffn_up", "mlp.up_proj"),
    matrix("ffn_down", "mlp.down_proj"),
    norm("post_ffw_norm", "post_feedforward_layernorm"),
];
