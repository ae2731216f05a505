//! Text to ids and back: the tokenizer of a model, its chat template, and which tokens of a conversation the assistant
//! wrote.
//!
//! One path serves training and inference: [`Tokenizer::encode_conversation`] renders with the template and tokenises
//! the text without adding anything to it.

// Numbers of files, templates and rows that a stranger wrote: none may overflow or lead outside.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod adjacency;
mod clock;
mod closing;
mod control_tokens;
mod conversation;
mod cuts;
mod decode_stream;
mod difference;
mod encode;
mod encoded_text;
mod ends;
mod error;
mod exact_json;
mod fingerprint;
mod forms;
mod frame;
mod generation_tags;
mod gguf;
mod gguf_export;
mod growth;
mod guard;
mod jinja;
mod leaves;
mod marks;
mod named_templates;
mod new_tokens;
mod notes;
mod parallel;
mod parts;
mod prefixes;
mod probe;
mod prompts;
mod read;
mod sanitize;
mod save;
mod spans;
mod special_tokens;
mod strftime;
mod tags;
mod template;
mod thoughts;
mod tokenizer;
mod turn_parts;
mod turn_span;
mod turn_text;
mod turns;
mod validate;
mod without;
mod words;

pub use decode_stream::DecodeStream;
pub use encode::{ConversationOptions, EncodedConversation, EncodedPair};
pub use encoded_text::EncodedText;
pub use error::{Result, TextError};
pub use exact_json::parse_json;
pub use new_tokens::{add_to_config, add_to_file};
pub use notes::Note;
pub use template::Rendered;
pub use tokenizer::{AddedId, SpecialToken, Tokenizer, TokenizerInfo};
pub use turn_parts::{PartOptions, TurnParts};
