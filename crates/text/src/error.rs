//! The one error type of this crate: a stable code and a message that says where, what, and what to do.

use std::fmt;

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, TextError>;

/// An error: `[place] expected …, got …; what to do`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// `FILE_MISSING`, `TOKENIZER_INVALID`, `TEMPLATE_INVALID` or `DATA_INVALID`. Stable, unlike the message.
    pub code: &'static str,
    /// The whole message, place included.
    pub message: String,
}

impl TextError {
    /// A file that should exist does not, or cannot be read.
    pub(crate) fn missing(place: &str, what: &str) -> Self {
        Self::new("FILE_MISSING", place, what)
    }

    /// A tokenizer that cannot be read or used.
    pub(crate) fn tokenizer(place: &str, what: &str) -> Self {
        Self::new("TOKENIZER_INVALID", place, what)
    }

    /// A chat template that does not compile, or that refuses a conversation.
    pub(crate) fn template(place: &str, what: &str) -> Self {
        Self::new("TEMPLATE_INVALID", place, what)
    }

    /// Text, ids or a conversation that cannot be used.
    pub(crate) fn data(place: &str, what: &str) -> Self {
        Self::new("DATA_INVALID", place, what)
    }

    fn new(code: &'static str, place: &str, what: &str) -> Self {
        Self { code, message: format!("[{place}] {what}") }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TextError {}
