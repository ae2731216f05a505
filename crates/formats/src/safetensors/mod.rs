//! The safetensors format (<https://huggingface.co/docs/safetensors>): eight bytes of header length, a JSON header, data.

mod file;
mod header;
mod sharded;
mod writer;

pub use file::SafetensorsFile;
pub use sharded::ShardedSafetensors;
pub use writer::{F32Tensor, SafetensorsWriter, TensorSpec, write_safetensors};
