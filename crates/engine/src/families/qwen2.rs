//! Qwen2 and Qwen2.5: biases on queries, keys and values (arXiv:2407.10671).

use super::family::{Bias, Family, PLAIN, SlidingWindow, WindowedLayers};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen2",
    qkv_bias: Bias::Always,
    windows: Some(SlidingWindow {
        switched: true,
        absent: Some(4096),
        layers: WindowedLayers::From { key: "max_window_layers", absent: 28 },
    }),
    ..PLAIN
};
