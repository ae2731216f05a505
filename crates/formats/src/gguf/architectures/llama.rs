//! `llama`: Llama 2 and 3, SmolLM2, TinyLlama, and Mistral, whose window the file tells but llama.cpp does not use.

use super::architecture::{Architecture, PLAIN, Part, SlidingWindows, WideValues, biased, norm};

pub(super) const PARTS: &[Part] = &[
    norm("attn_norm", "input_layernorm"),
    biased("attn_q", "self_attn.q_proj"),
    biased("attn_k", "self_attn.k_proj"),
    biased("attn_v", "self_attn.v_proj"),
    biased("attn_output", "self_attn.o_proj"),
    norm("ffn_norm", "post_attention_layernorm"),
    biased("ffn_gate", "mlp.gate_proj"),
    biased("ffn_up", "mlp.up_proj"),
    biased("ffn_down", "mlp.down_proj"),
];

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "llama",
    model_types: &["llama", "mistral"],
    parts: PARTS,
    interleaved: true,
    windows: SlidingWindows::Unused { model_type: "mistral" },
    long_rope: true,
    wide_values: Some(WideValues { layers: 80, shared_only: true }),
    ..PLAIN
};
