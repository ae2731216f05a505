//! What families may differ in, and the plain decoder from which each is described by its differences.

use tunesmith_formats::WindowedRope;

/// Where a projection's bias comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// The family has none.
    Never,
    /// The family always has one.
    Always,
    /// A boolean configuration key decides; absent means no bias.
    Key(&'static str),
}

/// RMSNorm of queries and keys, before RoPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkNorm {
    /// None.
    Absent,
    /// Over each head, one scale for all of them (arXiv:2302.05442).
    EachHead,
    /// Over the whole projection (arXiv:2501.00656).
    Projection,
}

/// A number in the configuration, and what it is where the key is absent. `null` always means none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// Key.
    pub key: &'static str,
    /// Value of transformers' configuration class.
    pub absent: Option<f64>,
}

/// What scores are multiplied with before the softmax.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScoreScale {
    /// `1 / √h`.
    HeadSize,
    /// The number itself.
    Factor(Number),
    /// `1 / √number`.
    InverseRoot(Number),
}

/// What embeddings are multiplied with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EmbeddingScale {
    /// `√d`.
    RootOfHidden,
    /// The number; none means 1.
    Factor(Option<Number>),
}

/// Which layers have the sliding window where `layer_types` does not name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowedLayers {
    /// All.
    Every,
    /// Those from the index in a key on.
    From {
        /// Key.
        key: &'static str,
        /// Index where it is absent.
        absent: usize,
    },
    /// All but every `period`-th.
    AllButEach {
        /// Key of the period, where there is one.
        key: Option<&'static str>,
        /// Period where it is absent.
        absent: usize,
    },
    /// Those without RoPE.
    Unrotated,
}

/// The sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindow {
    /// The window holds only where `use_sliding_window` is true.
    pub switched: bool,
    /// `sliding_window` where the key is absent; `null` means none.
    pub absent: Option<usize>,
    /// Its layers.
    pub layers: WindowedLayers,
}

/// Which layers rotate queries and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotated {
    /// All.
    Every,
    /// A list of 0 and 1 in one key; where it is absent all but every n-th, n in another (arXiv:2501.18795).
    Listed {
        /// Key of the list.
        list: &'static str,
        /// Key of n.
        interval: &'static str,
        /// n where it is absent.
        absent: usize,
    },
    /// In a model with a sliding window the layers that have it, else all.
    Windowed,
}

/// Norms of a layer, each by its name below `model.layers.N.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norms {
    /// On what attention is given.
    pub before_attention: Option<&'static str>,
    /// On what attention adds to the residual stream.
    pub after_attention: Option<&'static str>,
    /// On what the feed-forward block is given.
    pub before_mlp: Option<&'static str>,
    /// On what the feed-forward block adds.
    pub after_mlp: Option<&'static str>,
}

/// Linear layers on one input: a matrix each, or one whose rows are the rows of all of them, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedInput<const N: usize> {
    /// Names of the matrices.
    Separate([&'static str; N]),
    /// Name of the one.
    Fused(&'static str),
}

/// Names of the linear layers, below `model.layers.N.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projections {
    /// Queries, keys, values.
    pub qkv: SharedInput<3>,
    /// Output of attention.
    pub o: &'static str,
    /// Gate and up.
    pub gate_up: SharedInput<2>,
    /// Down.
    pub down: &'static str,
}

/// Names of a mixture of experts, below `model.layers.N.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MixtureRules {
    /// The router's matrix.
    pub router: &'static str,
    /// What stands before `.N.gate_proj.weight` and before the fused `.gate_up_proj`.
    pub experts: &'static str,
}

/// One family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family {
    /// `model_type` in config.json.
    pub model_type: &'static str,
    /// Bias of the query, key and value projections.
    pub qkv_bias: Bias,
    /// Bias of the attention output projection.
    pub o_bias: Bias,
    /// Bias of the feed-forward projections.
    pub mlp_bias: Bias,
    /// QK-norm.
    pub qk_norm: QkNorm,
    /// Norms of a layer.
    pub norms: Norms,
    /// Added to every norm scale: 1 where files hold `scale − 1`.
    pub norm_offset: f32,
    /// Names of the linear layers.
    pub projections: Projections,
    /// Key of the gate's function, and the function where it is absent.
    pub activation: (&'static str, &'static str),
    /// Mixtures of experts, where the family has them.
    pub mixture: Option<MixtureRules>,
    /// Sliding window, where the family has one.
    pub windows: Option<SlidingWindow>,
    /// Layers with RoPE.
    pub rotated: Rotated,
    /// RoPE's base where the configuration names none.
    pub rope_theta: f64,
    /// `partial_rotary_factor` may be below 1.
    pub partial_rotary: bool,
    /// Windowed layers have a RoPE of their own.
    pub windowed_rope: Option<WindowedRope>,
    /// Scale of the scores.
    pub score_scale: ScoreScale,
    /// Soft cap of the scores.
    pub score_cap: Option<Number>,
    /// Scale of the embeddings.
    pub embedding_scale: EmbeddingScale,
    /// What a block adds to the residual stream is multiplied by it.
    pub residual_multiplier: Option<Number>,
    /// Logits are divided by it.
    pub logit_divisor: Option<Number>,
    /// Soft cap of the logits.
    pub logit_cap: Option<Number>,
    /// `tie_word_embeddings` where it is absent.
    pub tied: bool,
    /// `rms_norm_eps` where it is absent.
    pub eps: f64,
    /// `head_dim` where it is absent; None: hidden size over heads.
    pub head_dim: Option<usize>,
}

/// A pre-norm decoder with grouped-query attention, RoPE over whole heads and SwiGLU: what the other families are
/// described by their differences from.
pub(super) const PLAIN: Family = Family {
    model_type: "",
    qkv_bias: Bias::Never,
    o_bias: Bias::Never,
    mlp_bias: Bias::Never,
    qk_norm: QkNorm::Absent,
    norms: PRE_NORMS,
    norm_offset: 0.0,
    projections: Projections {
        qkv: SharedInput::Separate(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
        o: "self_attn.o_proj",
        gate_up: SharedInput::Separate(["mlp.gate_proj", "mlp.up_proj"]),
        down: "mlp.down_proj",
    },
    activation: ("hidden_act", "silu"),
    mixture: None,
    windows: None,
    rotated: Rotated::Every,
    rope_theta: 10_000.0,
    partial_rotary: false,
    windowed_rope: None,
    score_scale: ScoreScale::HeadSize,
    score_cap: None,
    embedding_scale: EmbeddingScale::Factor(None),
    residual_multiplier: None,
    logit_divisor: None,
    logit_cap: None,
    tied: false,
    eps: 1e-6,
    head_dim: None,
};

/// A norm before each block.
pub(super) const PRE_NORMS: Norms = Norms {
    before_attention: Some("input_layernorm.weight"),
    after_attention: None,
    before_mlp: Some("post_attention_layernorm.weight"),
    after_mlp: None,
};

/// Post-norm: a norm after each block (arXiv:2501.00656).
pub(super) const POST_NORMS: Norms = Norms {
    before_attention: None,
    after_attention: Some("post_attention_layernorm.weight"),
    before_mlp: None,
    after_mlp: Some("post_feedforward_layernorm.weight"),
};

/// Pre-norm and post-norm: a norm before and after each block (arXiv:2408.00118).
pub(super) const FOUR_NORMS: Norms = Norms {
    before_attention: Some("input_layernorm.weight"),
    after_attention: Some("post_attention_layernorm.weight"),
    before_mlp: Some("pre_feedforward_layernorm.weight"),
    after_mlp: Some("post_feedforward_layernorm.weight"),
};
