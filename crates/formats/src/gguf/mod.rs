//! The GGUF format of llama.cpp (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>), versions 2 and 3, read with
//! checked arithmetic, and written: architecture, weights and tokenizer in one file.

mod architectures;
mod config_keys;
mod config_reader;
mod cursor;
mod encode;
mod export;
mod file;
mod importance;
mod lora;
mod metadata;
mod model_config;
mod quantization;
mod rope_freqs;
mod rope_keys;
mod tensors;
mod tokenizer;
mod writer;

pub use export::write_gguf;
pub use file::GgufFile;
pub use importance::ImportanceMatrix;
pub use lora::write_gguf_lora;
pub use quantization::Quantization;
pub use tokenizer::GgufTokenizer;
