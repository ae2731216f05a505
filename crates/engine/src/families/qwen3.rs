//! Qwen3: QK-norm instead of biases (arXiv:2505.09388).

use super::{Bias, Family};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen3",
    qkv_bias: Bias::Key("attention_bias"),
    o_bias: Bias::Key("attention_bias"),
    mlp_bias: Bias::Never,
    qk_norm: true,
    sliding_window: true,
};
