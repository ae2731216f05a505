//! The safetensors format (<https://huggingface.co/docs/safetensors>): eight bytes of header length, a JSON header, data.

mod file;
mod header;
mod model;
mod sharded;
mod writer;

pub use file::SafetensorsFile;
pub use model::{DEFAULT_SHARD_BYTES, write_model};
pub use sharded::ShardedSafetensors;
pub use writer::{F32Tensor, SafetensorsWriter, TensorSpec, write_safetensors};
