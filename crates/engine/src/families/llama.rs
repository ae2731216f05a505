//! Llama 2 and 3, `SmolLM2`, TinyLlama and everything else saved as `llama`.

use super::family::{Bias, Family, PLAIN};

pub(super) const FAMILY: Family = Family {
    model_type: "llama",
    qkv_bias: Bias::Key("attention_bias"),
    o_bias: Bias::Key("attention_bias"),
    mlp_bias: Bias::Key("mlp_bias"),
    ..PLAIN
};
