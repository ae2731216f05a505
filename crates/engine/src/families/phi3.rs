//! Phi-3 and Phi-4-mini: fused projections, LongRoPE, a part of the head rotated (arXiv:2404.14219).

use super::family::{Family, PLAIN, Projections, SharedInput, SlidingWindow, WindowedLayers};

pub(super) const FAMILY: Family = Family {
    model_type: "phi3",
    projections: Projections {
        qkv: SharedInput::Fused("self_attn.qkv_proj"),
        gate_up: SharedInput::Fused("mlp.gate_up_proj"),
        ..PLAIN.projections
    },
    windows: Some(SlidingWindow { switched: false, absent: None, layers: WindowedLayers::Every }),
    partial_rotary: true,
    eps: 1e-5,
    ..PLAIN
};
