//! The layers of the decoder: blocks, the linear layers and norms they are made of, and what they keep.

mod attention;
mod decoder_layer;
mod dense;
mod fan;
mod feed_forward;
mod kv_cache;
mod linear;
mod lora;
mod mixture;
mod norm;
mod residual;
mod rotary;
mod site;
mod weight;

pub use attention::{AttentionBlock, QkNorm};
pub use decoder_layer::{Layer, Saved, Scratch};
pub use dense::Dense;
pub use fan::Fan;
pub use feed_forward::FeedForward;
pub use kv_cache::KvCache;
pub use linear::Linear;
pub use lora::{AdapterScratch, Kept, LoraSlot};
pub use mixture::{Experts, Mixture};
pub use norm::Norm;
pub use residual::Residual;
pub use rotary::Rotary;
pub use site::{CacheAt, Site};
pub use weight::{Backward, Vector, Weight};
