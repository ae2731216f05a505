//! Model families as data: which configuration keys switch what. No behaviour is ever read from a model's name.

mod llama;
mod mistral;
mod qwen2;
mod qwen3;

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

/// One family: differences from a plain pre-norm decoder with grouped-query attention, `RoPE` and `SwiGLU`.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// `model_type` in config.json.
    pub model_type: &'static str,
    /// Bias of the query, key and value projections.
    pub qkv_bias: Bias,
    /// Bias of the attention output projection.
    pub o_bias: Bias,
    /// Bias of the feed-forward projections.
    pub mlp_bias: Bias,
    /// RMSNorm over each head of queries and keys, before `RoPE`.
    pub qk_norm: bool,
    /// The keys `sliding_window`, `layer_types`, `use_sliding_window` and `max_window_layers` are honoured.
    pub sliding_window: bool,
}

/// Every family, by `model_type`.
pub const FAMILIES: [Family; 4] = [llama::FAMILY, mistral::FAMILY, qwen2::FAMILY, qwen3::FAMILY];

/// Tensor names of a decoder in Hugging Face checkpoints; the families above share them.
pub mod names {
    /// Token embedding.
    pub const EMBEDDING: &str = "model.embed_tokens.weight";
    /// Final norm.
    pub const FINAL_NORM: &str = "model.norm.weight";
    /// Output head, absent when tied to the embedding.
    pub const HEAD: &str = "lm_head";
    /// Norm before attention, below `model.layers.N.`.
    pub const INPUT_NORM: &str = "input_layernorm.weight";
    /// Norm before the feed-forward block.
    pub const MLP_NORM: &str = "post_attention_layernorm.weight";
    /// Query norm.
    pub const Q_NORM: &str = "self_attn.q_norm.weight";
    /// Key norm.
    pub const K_NORM: &str = "self_attn.k_norm.weight";
    /// The seven projections, in the order of [`crate::layer::Projection`].
    pub const PROJECTIONS: [&str; 7] = [
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj",
    ];

    /// Prefix of a layer's tensors.
    pub fn layer(index: usize) -> String {
        format!("model.layers.{index}.")
    }
}
