//! Which part of a rendered conversation the assistant wrote, for templates without `{% generation %}` tags.
//!
//! The conversation up to each assistant turn is rendered with a generation prompt, which is exactly what the model
//! sees before it answers. Where the whole rendering begins with that text, the answer begins after it. It ends with
//! the special token that closes the turn; whitespace after that token is the template's, not the model's.

use crate::conversation::{AssistantTurn, Conversation};
use crate::error::{Result, TextError};
use crate::template::ChatTemplate;

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

/// The tokens that may close a turn: every special token of the vocabulary, as text.
pub(crate) struct SpecialTokens(Vec<String>);

/// One span per assistant turn of `full`, the rendering of the whole conversation without generation prompt.
///
/// # Errors
/// `TEMPLATE_INVALID` when the template rewrites earlier turns so that a turn cannot be found again.
pub(crate) fn prefix_spans(
    template: &ChatTemplate,
    conversation: &Conversation,
    full: &str,
    specials: &SpecialTokens,
) -> Result<Vec<TurnSpan>> {
    let mut spans: Vec<TurnSpan> = Vec::with_capacity(conversation.assistant_turns.len());
    for turn in &conversation.assistant_turns {
        let start = turn_start(template, conversation, full, specials, turn.message)?;
        let end = turn_end(template, conversation, full, specials, turn, start)?;
        if end <= start || spans.last().is_some_and(|last| start < last.end) {
            return Err(not_found(turn.message, "overlapping or empty text"));
        }
        spans.push(TurnSpan { message: turn.message, start, end });
    }
    Ok(spans)
}

fn not_found(message: usize, what: &str) -> TextError {
    TextError::template(
        PLACE,
        &format!(
            "expected to find messages[{message}] in the rendered conversation, got {what}; \
             use a chat template with {{% generation %}} tags, or rows with one assistant turn each"
        ),
    )
}

/// Where the answer of `message` begins.
fn turn_start(
    template: &ChatTemplate,
    conversation: &Conversation,
    full: &str,
    specials: &SpecialTokens,
    message: usize,
) -> Result<usize> {
    let prompt = template.render(conversation, message, true)?.text;
    if full.starts_with(&prompt) {
        return Ok(prompt.len());
    }
    // The generation prompt says more than the template writes for a past turn (`<think>`), so the answer begins where
    // the turn's header ends: the last token or line end that both texts share, past everything that is not the header.
    let before = template.render(conversation, message, false)?.text;
    let shared = common_prefix(&prompt, full);
    let header_from = common_prefix(&before, &prompt);
    (header_from + 1..=shared)
        .rev()
        .filter(|&at| prompt.is_char_boundary(at))
        .find(|&at| prompt[..at].ends_with(char::is_whitespace) || specials.ends(&prompt[..at]).is_some())
        .ok_or_else(|| not_found(message, "a generation prompt that differs from how the template writes the turn"))
}

/// Where the answer that begins at `start` ends: after the special tokens that close the turn.
fn turn_end(
    template: &ChatTemplate,
    conversation: &Conversation,
    full: &str,
    specials: &SpecialTokens,
    turn: &AssistantTurn,
    start: usize,
) -> Result<usize> {
    let is_last = turn.message + 1 == conversation.messages.len();
    let upto = if is_last { full.to_owned() } else { template.render(conversation, turn.message + 1, false)?.text };
    let closing = specials.closing(&upto, &turn.content);
    if closing.end > start && full.starts_with(&upto[..closing.end]) {
        return Ok(closing.end);
    }
    // The template writes this turn differently once more turns follow: look for its content, then for the closing
    // token.
    let content = visible_content(&turn.content);
    let content_end = full[start..].find(content).map(|at| start + at + content.len());
    content_end
        .and_then(|at| specials.run_from(full, at, closing.count))
        .ok_or_else(|| not_found(turn.message, "a turn that the template rewrites once more turns follow"))
}

/// What of an assistant's content templates keep in past turns: the text after the reasoning.
fn visible_content(content: &str) -> &str {
    content.rsplit_once("</think>").map_or(content, |(_, answer)| answer).trim()
}

/// Length in bytes of the longest common prefix of whole characters.
fn common_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum()
}

/// How a turn ends: offset after the closing tokens, and how many there are.
#[derive(Debug, PartialEq, Eq)]
struct Closing {
    end: usize,
    count: usize,
}

impl SpecialTokens {
    /// From the tokens' texts.
    pub fn new(texts: Vec<String>) -> Self {
        Self(texts)
    }

    /// The longest special token that `text` ends with.
    fn ends(&self, text: &str) -> Option<&str> {
        self.0.iter().map(String::as_str).filter(|token| text.ends_with(token)).max_by_key(|token| token.len())
    }

    /// The special tokens `text` ends with, whitespace between them allowed: byte ranges, first to last.
    fn trailing_run(&self, text: &str) -> Vec<(usize, usize)> {
        let mut run = Vec::new();
        let mut rest = text.trim_end();
        while let Some(token) = self.ends(rest) {
            run.push((rest.len() - token.len(), rest.len()));
            rest = rest[..rest.len() - token.len()].trim_end();
        }
        run.reverse();
        run
    }

    /// How the last turn of `text` is closed: by the first special token after its content and those that touch it. A
    /// turn without closing token ends with its last character that is not whitespace.
    fn closing(&self, text: &str, content: &str) -> Closing {
        let run = self.trailing_run(text);
        // A content may itself end in special tokens; those do not close the turn.
        let first = self.trailing_run(content).len().min(run.len().saturating_sub(1));
        let closing = &run[first..];
        let count = closing.len().min(1 + closing.windows(2).take_while(|pair| pair[0].1 == pair[1].0).count());
        let end = if count == 0 { text.trim_end().len() } else { closing[count - 1].1 };
        Closing { end, count }
    }

    /// The end of `count` touching special tokens, the first of which is the next at or after `from`.
    fn run_from(&self, text: &str, from: usize, count: usize) -> Option<usize> {
        if count == 0 {
            return Some(from);
        }
        let mut end = self
            .0
            .iter()
            .filter_map(|token| text[from..].find(token.as_str()).map(|at| (at, token.len())))
            .min_by_key(|&(at, length)| (at, usize::MAX - length))
            .map(|(at, length)| from + at + length)?;
        for _ in 1..count {
            end += self.0.iter().filter(|token| text[end..].starts_with(token.as_str())).map(String::len).max()?;
        }
        Some(end)
    }
}
