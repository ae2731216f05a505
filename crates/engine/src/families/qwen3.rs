//! Qwen3: QK-norm instead of biases (arXiv:2505.09388).

use super::family::{Bias, Family, PLAIN, QkNorm, SlidingWindow, WindowedLayers};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen3",
    qkv_bias: Bias::Key("attention_bias"),
    o_bias: Bias::Key("attention_bias"),
    qk_norm: QkNorm::EachHead,
    windows: Some(SlidingWindow {
        switched: true,
        absent: Some(4096),
        layers: WindowedLayers::From { key: "max_window_layers", absent: 28 },
    }),
    head_dim: Some(128),
    ..PLAIN
};
