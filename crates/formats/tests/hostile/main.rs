//! Damaged and hostile files. Whatever a file says, its reader answers with a value or an error: it does not panic, it does
//! not take more than a second, and it never holds more than twice the file and 64 MB.
//!
//! One room per parser, each with three kinds of files: mutations of valid ones (`CASES` per parser, by default 10,000, or
//! `MINUTES` for as long as that), files made by hand, each with the attack it is named after, and what earlier runs found.
//! The last two lie in `test/corpus`; `WRITE_CORPUS=1` writes the files made by hand.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod adapter;
mod allocator;
mod bytes;
mod campaign;
mod config;
mod corpus;
mod fields;
mod gguf;
mod gguf_attacks;
mod json;
mod peers;
mod random;
mod safetensors;
mod shard_index;
mod tokenizer;
mod tokenizer_attacks;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;
