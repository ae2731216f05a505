//! EXAONE 4.0: OLMo 2's norms, QK-norm over heads, RoPE in windowed layers only (arXiv:2507.11407).

use super::family::{Family, PLAIN, POST_NORMS, QkNorm, Rotated, SlidingWindow, WindowedLayers};

pub(super) const FAMILY: Family = Family {
    model_type: "exaone4",
    qk_norm: QkNorm::EachHead,
    norms: POST_NORMS,
    windows: Some(SlidingWindow {
        switched: false,
        absent: Some(4096),
        layers: WindowedLayers::AllButEach { key: Some("sliding_window_pattern"), absent: 4 },
    }),
    rotated: Rotated::Windowed,
    eps: 1e-5,
    ..PLAIN
};
