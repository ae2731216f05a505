//! `SmolLM3`: every fourth layer without RoPE (arXiv:2501.18795).

use super::family::{Bias, Family, PLAIN, Rotated, SlidingWindow, WindowedLayers};

pub(super) const FAMILY: Family = Family {
    model_type: "smollm3",
    qkv_bias: Bias::Key("attention_bias"),
    o_bias: Bias::Key("attention_bias"),
    mlp_bias: Bias::Key("mlp_bias"),
    windows: Some(SlidingWindow { switched: true, absent: None, layers: WindowedLayers::Unrotated }),
    rotated: Rotated::Listed { list: "no_rope_layers", interval: "no_rope_layer_interval", absent: 4 },
    rope_theta: 2e6,
    tied: true,
    ..PLAIN
};
