//! Phi-3 and Phi-4-mini: fused projections, LongRoPE, a part of the head rotated (arXiv:2404.14219).

use super::family::{Family, PLAIN, Projections, Side, Windowed, Windows};

pub(super) const FAMILY: Family = Family {
    model_type: "phi3",
    projections: Projections {
        qkv: Side::Fused("self_attn.qkv_proj"),
        gate_up: Side::Fused("mlp.gate_up_proj"),
        ..PLAIN.projections
    },
    windows: Some(Windows { switched: false, absent: None, layers: Windowed::Every }),
    partial_rotary: true,
    eps: 1e-5,
    ..PLAIN
};
