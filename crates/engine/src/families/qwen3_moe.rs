//! Qwen3's mixtures of experts (arXiv:2505.09388).

use super::family::{Bias, Family, MixtureRules, PLAIN, QkNorm, SlidingWindow, WindowedLayers};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen3_moe",
    qkv_bias: Bias::Key("attention_bias"),
    o_bias: Bias::Key("attention_bias"),
    qk_norm: QkNorm::EachHead,
    mixture: Some(MixtureRules { router: "mlp.gate.weight", experts: "mlp.experts" }),
    windows: Some(SlidingWindow { switched: true, absent: Some(4096), layers: WindowedLayers::Every }),
    ..PLAIN
};
