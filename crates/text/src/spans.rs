//! Which part of a rendered conversation the assistant wrote.
//!
//! The rendering says which pieces of it were written for an assistant turn. Where the template marks what the assistant
//! wrote with `{% generation %}` tags, the marks count. Elsewhere the answer begins after what the generation prompt
//! writes, which the model is given, and ends with the special token that closes the turn; whitespace after that token is
//! the template's, not the model's.

use crate::closing::SpecialTokens;
use crate::conversation::{AssistantTurn, Conversation};
use crate::error::Result;
use crate::prefixes::{owners_by_prefixes, spans_by_prefixes};
use crate::prompts::Prompts;
use crate::template::{ChatTemplate, Rendered};
use crate::turn_span::{TurnSpan, common_prefix, joined, not_found, visible_content};
use crate::turns::Piece;

/// The spans of `rendered`, the whole conversation without generation prompt. A turn that the template does not write has
/// none.
///
/// # Errors
/// `TEMPLATE_INVALID` when a turn cannot be told from what the template adds to it.
pub(crate) fn turn_spans(
    template: &ChatTemplate,
    conversation: &Conversation,
    rendered: &Rendered,
    specials: &SpecialTokens,
) -> Result<Vec<TurnSpan>> {
    if template.has_generation_tags() {
        return tagged_spans(template, conversation, rendered);
    }
    let turns = &conversation.assistant_turns;
    let parts: Vec<Vec<Piece>> = turns.iter().map(|turn| parts_of(turn.message, &rendered.pieces)).collect();
    let is_elsewhere = |(turn, parts): (&AssistantTurn, &Vec<Piece>)| {
        let content = visible_content(&turn.content);
        parts.is_empty() && !content.is_empty() && rendered.text.contains(content)
    };
    if turns.iter().zip(&parts).any(is_elsewhere) {
        return spans_by_prefixes(template, conversation, &rendered.text, specials);
    }
    let mut search = Search {
        conversation,
        text: &rendered.text,
        specials,
        prompts: Prompts::new(template, conversation, specials),
    };
    let mut spans = Vec::with_capacity(turns.len());
    for (turn, parts) in turns.iter().zip(&parts) {
        spans.extend(search.answer(turn, parts)?);
    }
    Ok(spans)
}

/// The pieces of a message, in the order of the text. A template may go over the messages several times: the last time
/// that it writes something counts.
fn parts_of(message: usize, pieces: &[Piece]) -> Vec<Piece> {
    let of_message = || pieces.iter().filter(|piece| piece.message == message);
    let last = of_message().next_back().map(|piece| piece.loop_id);
    of_message().filter(|piece| Some(piece.loop_id) == last).copied().collect()
}

/// What answers are looked for in.
struct Search<'a> {
    conversation: &'a Conversation,
    text: &'a str,
    specials: &'a SpecialTokens,
    prompts: Prompts<'a>,
}

impl Search<'_> {
    /// The spans of a turn: one, unless the template writes other messages in the middle of it.
    fn answer(&mut self, turn: &AssistantTurn, parts: &[Piece]) -> Result<Vec<TurnSpan>> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(Vec::new()) };
        let start = first.start.saturating_add(self.header(turn, &self.text[first.start..first.end])?);
        let end = self.end(turn, last.start.max(start), last.end)?;
        let message = turn.message;
        let spans = parts.iter().map(|part| {
            let end = if part == last { end } else { part.end };
            TurnSpan { message, start: part.start.max(start), end }
        });
        Ok(spans.filter(|span| span.start < span.end).collect())
    }

    /// Length of what stands in front of the answer in its own part: the generation prompt. It may say more than the
    /// template writes for a past turn (`<think>`): then the answer begins after the last token or line end they share.
    fn header(&mut self, turn: &AssistantTurn, part: &str) -> Result<usize> {
        let specials = self.specials;
        let prompt = self.prompts.before(turn.message);
        let texts = [prompt.after_message.as_str(), prompt.added.as_str()];
        if let Some(text) = texts.iter().find(|text| part.starts_with(**text)) {
            return Ok(text.len());
        }
        // Tokens that the tokenizer does not know as such end like this too.
        let ends_like_a_token = |head: &str| head.ends_with(['>', ']', ':']);
        let shared = |text: &str| {
            let ends = |is_end: &dyn Fn(&str) -> bool| {
                (1..=common_prefix(text, part)).rev().find(|&at| text.is_char_boundary(at) && is_end(&text[..at]))
            };
            ends(&|head| specials.ends_piece(head)).or_else(|| ends(&ends_like_a_token))
        };
        let says_at_once = || part.trim_start().starts_with(visible_content(&turn.content)).then_some(0);
        texts.into_iter().find_map(shared).or_else(says_at_once).ok_or_else(|| {
            not_found(turn.message, "a generation prompt that differs from how the template writes the turn")
        })
    }

    /// Where the answer that begins at `start` ends: after the special tokens that close the turn.
    fn end(&mut self, turn: &AssistantTurn, start: usize, end: usize) -> Result<usize> {
        let closing = self.specials.closing(&self.text[start..end], &turn.content);
        let own = start.saturating_add(closing.end);
        let rest = &self.text[end..];
        let is_last = turn.count() == self.conversation.messages.len();
        if closing.count > 0 {
            // What follows the last turn and touches it closes it as well.
            let touches = is_last && own == end && !rest.starts_with(char::is_whitespace);
            return Ok(if touches { own.saturating_add(self.specials.leading_run(rest)) } else { own });
        }
        let after = if is_last { self.specials.leading_run(rest) } else { self.prompts.closing_after(turn, rest)? };
        Ok(if after > 0 { end.saturating_add(after) } else { own })
    }
}

/// The spans of the template's tags, with the assistant turn each belongs to.
fn tagged_spans(template: &ChatTemplate, conversation: &Conversation, rendered: &Rendered) -> Result<Vec<TurnSpan>> {
    let spans = &rendered.generation_spans;
    let owner = |&(start, _): &(usize, usize)| {
        let piece = rendered.pieces.iter().rfind(|piece| piece.start <= start && start < piece.end)?;
        conversation.roles.get(piece.message).filter(|role| *role == "assistant").map(|_| piece.message)
    };
    let owners: Option<Vec<usize>> = spans.iter().filter(|(start, end)| start < end).map(owner).collect();
    let written = spans.iter().copied().filter(|(start, end)| start < end);
    match owners {
        Some(owners) => Ok(joined(owners.into_iter().zip(written))),
        None => owners_by_prefixes(template, conversation, spans),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::Ordering;

    use serde_json::{Value as Json, json};

    use super::turn_spans;
    use crate::closing::SpecialTokens;
    use crate::conversation::Conversation;
    use crate::forms::Forms;
    use crate::template::ChatTemplate;

    const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    /// Nothing closes a turn but the end, and the header stands with the question.
    const OPEN: &str = "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}{% else %}\nQ: {{ m.content }}\nA: {% endif %}{% endfor %}";

    fn talk(questions: usize) -> Conversation {
        let roles = ["user", "assistant", "tool", "assistant"];
        let message = |at: usize| json!({"role": roles[at % 4], "content": format!("{at}.")});
        let messages: Vec<Json> = (0..2 * questions).map(message).collect();
        Conversation::read(&json!({"messages": messages}), Forms::default()).unwrap()
    }

    /// Answers of a conversation and how many renderings they took, the whole one included.
    fn renderings(source: &str, conversation: &Conversation) -> (Vec<String>, usize) {
        let template = ChatTemplate::compile(source, &BTreeMap::new()).unwrap();
        let specials = SpecialTokens::new(vec!["<|im_start|>".to_owned(), "<|im_end|>".to_owned()], Vec::new());
        let rendered = template.render(conversation, conversation.messages.len(), false).unwrap();
        let spans = turn_spans(&template, conversation, &rendered, &specials).unwrap();
        let texts = spans.iter().map(|span| rendered.text[span.start..span.end].to_owned()).collect();
        (texts, template.renderings.load(Ordering::Relaxed))
    }

    #[test]
    fn the_number_of_renderings_does_not_grow_with_the_turns() {
        let tagged = CHATML.replace(
            "{{ m.content }}",
            "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}",
        );
        for (source, closing, most) in [(CHATML, "<|im_end|>", 5), (OPEN, "", 6), (&tagged, "", 1)] {
            let (_, few) = renderings(source, &talk(4));
            let (answers, many) = renderings(source, &talk(400));
            let expected: Vec<String> = (0..800).filter(|at| at % 2 == 1).map(|at| format!("{at}.{closing}")).collect();
            assert_eq!(answers, expected);
            assert!(few == many && many <= most, "{many} renderings of {source}");
        }
    }
}
