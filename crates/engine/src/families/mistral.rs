//! Mistral: a sliding window over every layer (arXiv:2310.06825).

use super::{Bias, Family};

pub(super) const FAMILY: Family = Family {
    model_type: "mistral",
    qkv_bias: Bias::Never,
    o_bias: Bias::Never,
    mlp_bias: Bias::Never,
    qk_norm: false,
    sliding_window: true,
};
