//! Qwen2 and Qwen2.5: biases on queries, keys and values (arXiv:2407.10671).

use super::{Bias, Family};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen2",
    qkv_bias: Bias::Always,
    o_bias: Bias::Never,
    mlp_bias: Bias::Never,
    qk_norm: false,
    sliding_window: true,
};
