//! The text of an assistant turn in a rendering, and what both ways to find it share.

use crate::error::TextError;

const PLACE: &str = "assistant spans";

/// Text the assistant wrote in one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TurnSpan {
    /// Index in `messages`.
    pub message: usize,
    /// Byte offset of its first character.
    pub start: usize,
    /// Byte offset after its last character.
    pub end: usize,
}

/// Spans of a turn that touch are one: templates mark an answer and its end of sequence apart.
pub(crate) fn joined(spans: impl Iterator<Item = (usize, (usize, usize))>) -> Vec<TurnSpan> {
    let mut out: Vec<TurnSpan> = Vec::new();
    for (message, (start, end)) in spans {
        match out.last_mut() {
            Some(last) if last.message == message && start <= last.end => last.end = last.end.max(end),
            _ => out.push(TurnSpan { message, start, end }),
        }
    }
    out
}

/// An error that names a turn.
pub(crate) fn not_found(message: usize, what: &str) -> TextError {
    TextError::template(
        PLACE,
        &format!(
            "expected to find messages[{message}] in the rendered conversation, got {what}; \
             use a chat template with {{% generation %}} tags, or rows with one assistant turn each"
        ),
    )
}

/// What of an assistant's content templates keep in past turns: the text after the reasoning.
pub(crate) fn visible_content(content: &str) -> &str {
    content.rsplit_once("</think>").map_or(content, |(_, answer)| answer).trim()
}

/// Length in bytes of the longest common prefix of whole characters.
pub(crate) fn common_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum()
}
