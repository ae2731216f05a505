//! The GGUF format of llama.cpp (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>), versions 2 and 3, read with
//! checked arithmetic: architecture, weights and tokenizer in one file.

mod cursor;
mod file;
mod metadata;
mod model_config;
mod names;
mod rope_freqs;
mod tensors;
mod tokenizer;

pub use file::GgufFile;
pub use tokenizer::GgufTokenizer;
