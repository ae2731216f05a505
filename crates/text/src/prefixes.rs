//! Assistant spans by renderings of every prefix, for templates that write messages outside of loops over them.
//!
//! The conversation up to each assistant turn is rendered with a generation prompt, which is exactly what the model
//! sees before it answers. Where the whole rendering begins with that text, the answer begins after it. It ends with
//! the special token that closes the turn; whitespace after that token is the template's, not the model's. The cost grows
//! with the square of the turns.

use crate::closing::SpecialTokens;
use crate::conversation::{AssistantTurn, Conversation};
use crate::ends::before;
use crate::error::Result;
use crate::template::ChatTemplate;
use crate::turn_span::{TurnSpan, common_prefix, joined, not_found, visible_content};

/// One span per assistant turn of `full`, the rendering of the whole conversation without generation prompt.
///
/// # Errors
/// `TEMPLATE_INVALID` when the template rewrites earlier turns so that a turn cannot be found again.
pub(crate) fn spans_by_prefixes(
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
    (header_from.saturating_add(1)..=shared)
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
    let is_last = turn.count() == conversation.messages.len();
    let upto = if is_last { full.to_owned() } else { template.render(conversation, turn.count(), false)?.text };
    let closing = specials.closing(&upto, &turn.content);
    if closing.end > start && full.starts_with(&upto[..closing.end]) {
        return Ok(closing.end);
    }
    // The template writes this turn differently once more turns follow: look for its content, then for the closing
    // token.
    let content = visible_content(&turn.content);
    let content_end = full[start..].split_once(content).map(|(_, after)| before(full, after).len());
    content_end
        .and_then(|at| specials.run_from(full, at, closing.count))
        .ok_or_else(|| not_found(turn.message, "a turn that the template rewrites once more turns follow"))
}

/// The turn of each tagged span: a template may mark a turn in several pieces, or only some turns, and a span belongs to
/// the first turn that brings it.
pub(crate) fn owners_by_prefixes(
    template: &ChatTemplate,
    conversation: &Conversation,
    spans: &[(usize, usize)],
) -> Result<Vec<TurnSpan>> {
    let merged = |spans: &[(usize, usize)]| joined(spans.iter().map(|&span| (0, span)));
    let mut owned = merged(spans);
    let turns = &conversation.assistant_turns;
    if owned.len() == turns.len() {
        owned.iter_mut().zip(turns).for_each(|(span, turn)| span.message = turn.message);
        return Ok(owned);
    }
    let mut unowned = owned.iter_mut();
    let mut done = 0_usize;
    for turn in turns {
        let upto = template.render(conversation, turn.count(), false)?;
        let count = merged(&upto.generation_spans).len().max(done);
        unowned.by_ref().take(count.saturating_sub(done)).for_each(|span| span.message = turn.message);
        done = count;
    }
    let last = turns.last().map_or(0, |turn| turn.message);
    unowned.for_each(|span| span.message = last);
    Ok(owned)
}
