//! Gemma 2: four norms, soft caps, every other layer windowed, GeGLU (arXiv:2408.00118).

use super::family::{
    Bias, EmbeddingScale, FOUR_NORMS, Family, Number, PLAIN, ScoreScale, SlidingWindow, WindowedLayers,
};

pub(super) const FAMILY: Family = Family {
    model_type: "gemma2",
    qkv_bias: Bias::Key("attention_bias"),
    o_bias: Bias::Key("attention_bias"),
    norms: FOUR_NORMS,
    norm_offset: 1.0,
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    windows: Some(SlidingWindow {
        switched: false,
        absent: Some(4096),
        layers: WindowedLayers::AllButEach { key: None, absent: 2 },
    }),
    score_scale: ScoreScale::InverseRoot(Number { key: "query_pre_attn_scalar", absent: Some(256.0) }),
    score_cap: Some(Number { key: "attn_logit_softcapping", absent: Some(50.0) }),
    embedding_scale: EmbeddingScale::RootOfHidden,
    logit_cap: Some(Number { key: "final_logit_softcapping", absent: Some(30.0) }),
    tied: true,
    head_dim: Some(256),
    ..PLAIN
};
