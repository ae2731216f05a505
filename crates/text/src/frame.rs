//! What a post-processor writes around every text.

/// Ids that a post-processor adds.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// In front of a text.
    pub before: Vec<i32>,
    /// After it.
    pub after: Vec<i32>,
}
