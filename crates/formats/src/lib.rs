//! Reading and writing model files: safetensors (single and sharded), GGUF, Hugging Face configuration and PEFT
//! adapters. Every size a file states is compared with the bytes that are there before anything is
//! allocated, and nothing in here executes or unpickles what it reads.

// Numbers of a file that a stranger wrote: none may overflow or lead outside.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

#[cfg(not(target_endian = "little"))]
compile_error!("model files hold little-endian numbers and are viewed in place: a big-endian host is not supported");

pub mod atomic_file;
pub mod config;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "constants within arrays of fixed size")]
mod dequantize;
pub mod digest;
mod finite;
pub mod gguf;
mod input;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "constants within arrays of fixed size")]
mod k_quants;
pub mod model_files;
pub mod nf4;
pub mod peft;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "constants within arrays of fixed size")]
mod quantize;
pub mod rope;
pub mod safetensors;
pub mod stored_tensor;
mod stored_type;
mod tied_head;
mod transpose;
pub mod weights;

pub use atomic_file::{AtomicFile, sync_dir, write_atomic};
pub use config::ModelConfig;
pub use dequantize::dequantize;
pub use digest::{file_digest, text_digest};
pub use finite::check_finite;
pub use gguf::{GgufFile, GgufTokenizer, ImportanceMatrix, Quantization, write_gguf, write_gguf_lora};
pub use input::{PrivateMap, read_limited};
pub use model_files::{ModelFiles, NewToken, TokenizerSource, some_of};
pub use nf4::{Nf4File, Nf4Tensor, Nf4TensorScales, read_nf4, write_nf4};
pub use peft::{
    AdapterConfig, AdapterFiles, AdapterTensor, CONVERTED_FOLDER, Choice, EXPERT_PARAMETERS, FactorKind,
    InitLoraWeights, LoftqConfig, LoraTensors, Matcher, ModuleNames, ModuleTensors, TokenIndices, TrainedBias,
    b_bias_name, bias_name, magnitude_name, read_adapter, saved_name, token_rows_name, token_table_name, write_adapter,
};
pub use quantize::{Importance, Refusal, quantize};
pub use rope::{LongRopeScaling, RopeConfig, RopeRules, RopeScaling, Ropes, WindowedRope, YarnScaling};
pub use safetensors::{
    DEFAULT_SHARD_BYTES, F32Tensor, SafetensorsFile, SafetensorsWriter, ShardedSafetensors, TensorSpec, write_model,
    write_safetensors,
};
pub use stored_tensor::{StoredTensor, TensorSource};
pub use stored_type::StoredType;
pub use transpose::transposed;
pub use weights::{AsStored, OnProgress, Weights, is_rotary_buffer};
