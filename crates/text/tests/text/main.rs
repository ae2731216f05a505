//! Tokenizers and chat templates, from files to ids.
//!
//! One program: each would hold the tokenizer library once more, which takes longer than running it.
#![allow(clippy::unwrap_used)]

mod chat_templates;
mod common;
mod forms;
mod goldens;
mod hostile_templates;
mod mutated_templates;
mod named_templates;
mod notes;
mod parts;
mod spans;
mod tokenizer;
mod turn_parts;
