//! Gemma 3, its text model: QK-norm in place of the caps, a second RoPE base in windowed layers (arXiv:2503.19786).

use tunesmith_formats::WindowedRope;

use super::family::{
    Bias, EmbeddingScale, FOUR_NORMS, Family, Number, PLAIN, QkNorm, ScoreScale, SlidingWindow, WindowedLayers,
};

pub(super) const FAMILY: Family = Family {
    model_type: "gemma3_text",
    qkv_bias: Bias::Key("attention_bias"),
    o_bias: Bias::Key("attention_bias"),
    qk_norm: QkNorm::EachHead,
    norms: FOUR_NORMS,
    norm_offset: 1.0,
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    windows: Some(SlidingWindow {
        switched: false,
        absent: Some(4096),
        layers: WindowedLayers::AllButEach { key: Some("sliding_window_pattern"), absent: 6 },
    }),
    rope_theta: 1e6,
    windowed_rope: Some(WindowedRope { theta_key: "rope_local_base_freq", theta: 10_000.0 }),
    score_scale: ScoreScale::InverseRoot(Number { key: "query_pre_attn_scalar", absent: Some(256.0) }),
    score_cap: Some(Number { key: "attn_logit_softcapping", absent: None }),
    embedding_scale: EmbeddingScale::RootOfHidden,
    logit_cap: Some(Number { key: "final_logit_softcapping", absent: None }),
    tied: true,
    head_dim: Some(256),
    ..PLAIN
};
