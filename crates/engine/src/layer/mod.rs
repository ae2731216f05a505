//! The layers of the decoder: blocks, the linear layers and norms they are made of, and what they keep.

mod attention;
mod decoder_layer;
mod dense;
mod embedding;
mod feed_forward;
mod fused_linears;
mod kv_cache;
mod linear;
mod lora;
mod mixture;
mod norm;
mod pass_context;
mod residual;
mod rotary;
mod row_dropout;
mod token_rows;
mod weight;

pub use attention::{AttentionBlock, QkNorm};
pub use decoder_layer::{Layer, LayerTensors, Saved, Scratch};
pub use dense::Dense;
pub use embedding::{EmbeddingLora, EmbeddingScratch, TokenEmbedding};
pub use feed_forward::FeedForward;
pub use fused_linears::FusedLinears;
pub use kv_cache::KvCache;
pub use linear::Linear;
pub use lora::{AdapterScratch, LoraSlot, SavedLora};
pub use mixture::{ExpertLora, Experts, Mixture};
pub use norm::Norm;
pub use pass_context::{CacheAt, PassContext};
pub use residual::Residual;
pub use rotary::Rotary;
pub use row_dropout::DropoutAt;
pub use token_rows::{TokenIds, TokenRows, TokenRowsScratch};
pub use weight::{Backward, FrozenWeights, Vector, Weight};
