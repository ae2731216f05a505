//! OLMo 2: post-norm only, QK-norm over whole projections (arXiv:2501.00656).

use super::family::{Bias, Family, PLAIN, POST_NORMS, QkNorm};

pub(super) const FAMILY: Family = Family {
    model_type: "olmo2",
    qkv_bias: Bias::Key("attention_bias"),
    o_bias: Bias::Key("attention_bias"),
    qk_norm: QkNorm::Projection,
    norms: POST_NORMS,
    eps: 1e-5,
    ..PLAIN
};
