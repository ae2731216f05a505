//! Granite 3: multipliers of embeddings, scores, residuals and logits (µP, arXiv:2203.03466).

use super::family::{Bias, EmbeddingScale, Family, Number, PLAIN, ScoreScale};

const fn one(key: &'static str) -> Number {
    Number { key, absent: Some(1.0) }
}

pub(super) const FAMILY: Family = Family {
    model_type: "granite",
    qkv_bias: Bias::Key("attention_bias"),
    o_bias: Bias::Key("attention_bias"),
    mlp_bias: Bias::Key("mlp_bias"),
    score_scale: ScoreScale::Factor(one("attention_multiplier")),
    embedding_scale: EmbeddingScale::Factor(Some(one("embedding_multiplier"))),
    residual_multiplier: Some(one("residual_multiplier")),
    logit_divisor: Some(one("logits_scaling")),
    ..PLAIN
};
