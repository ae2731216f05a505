//! Where in a turn of the assistant its tool calls and its reasoning stand.
//!
//! To a part belongs what the template writes only because there is one, delimiters included: the conversation is rendered
//! once more without the parts of all turns, and what a turn has more than there is its part. The marks of its texts
//! ([`crate::leaves`]) must stand inside, those of all other texts outside. Tags that a template writes around reasoning
//! whether or not there is any go with it. Where both ways do not agree the row is refused: a wrong mask would not be seen.

use std::cell::OnceCell;

use crate::closing::SpecialTokens;
use crate::conversation::Conversation;
use crate::difference::{Known, common_end, insertion};
use crate::error::{Result, TextError};
use crate::leaves::{Leaves, Marked, Part};
use crate::spans::turn_spans;
use crate::tags::{emptied, with_tags};
use crate::template::{ChatTemplate, Rendered};
use crate::turn_span::TurnSpan;
use crate::turn_text::TurnText;
use crate::without::{CallsOut, Message, has_calls, has_reasoning, without_reasoning};

/// What is looked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PartOptions {
    /// Where the tool calls of each turn stand.
    pub tool_calls: bool,
    /// Where the reasoning of each turn stands.
    pub reasoning: bool,
}

/// Where parts stand in the rendering, or in its tokens: start inclusive, end exclusive, ascending.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TurnParts<T> {
    /// Tool calls.
    pub tool_calls: Vec<T>,
    /// Reasoning.
    pub reasoning: Vec<T>,
}

/// A rendered conversation and its turns.
pub(crate) struct Written<'a> {
    pub template: &'a ChatTemplate,
    pub conversation: &'a Conversation,
    pub rendered: &'a Rendered,
    pub spans: &'a [TurnSpan],
    pub specials: &'a SpecialTokens,
    pub leaves: &'a Leaves<'a>,
}

/// The parts of all turns that are asked for: byte offsets in the rendering.
///
/// # Errors
/// `TEMPLATE_INVALID` where it cannot be proven which text a part is.
pub(crate) fn turn_parts<'a>(written: &'a Written<'a>, asked: PartOptions) -> Result<TurnParts<(usize, usize)>> {
    let fields = &written.conversation.fields;
    let [calls, reasoning] = [has_calls, has_reasoning].map(|has| fields.iter().any(has));
    let mut parts = TurnParts::default();
    if !(asked.tool_calls && calls || asked.reasoning && reasoning) {
        return Ok(parts);
    }
    let turns = TurnText::of(written.spans, &written.rendered.text);
    let search = Search { written, marked: written.leaves.exact(), others: Default::default() };
    for turn in &turns {
        if asked.reasoning {
            parts.reasoning.extend(turn.places(search.reasoning(turn)?));
        }
        if asked.tool_calls {
            parts.tool_calls.extend(turn.places(search.tool_calls(turn)?));
        }
    }
    parts.reasoning.sort_unstable();
    parts.tool_calls.sort_unstable();
    Ok(parts)
}

/// The turns of a rendering without parts, in the order of the assistant's messages; none for one that is not written.
type Turns = Vec<Option<String>>;

struct Search<'a> {
    written: &'a Written<'a>,
    /// None where marks change more than themselves.
    marked: Option<&'a Marked<'a>>,
    /// Renderings without reasoning, without calls, and without the calls of turns that say something; none where the template
    /// refuses one.
    others: [OnceCell<Option<Turns>>; 3],
}

impl Search<'_> {
    /// The reasoning of a turn: byte offsets in its text; an empty range where none is written.
    fn reasoning(&self, turn: &TurnText) -> Result<(usize, usize)> {
        if !self.has(turn, has_reasoning) {
            return Ok((0, 0));
        }
        let mut known = self.known(turn, Part::Reasoning)?;
        if known.inside.is_empty() && self.is_marked(turn.message, Part::Reasoning) {
            return Ok((0, 0));
        }
        let grown = |range| with_tags(turn, range, self.written.rendered, self.said(turn));
        let core = known.inside.iter().copied().reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
        let tagged = core.map(grown).filter(|range| Some(*range) != core);
        known.add_edges(tagged.into_iter().flat_map(|(start, end)| [start, end]));
        let fields = || Some(without_reasoning(&self.written.conversation.fields));
        let less = self.other(0, turn, fields);
        let added = less.and_then(|less| self.added(turn, less, &known)).map(grown);
        match added.or_else(|| emptied(&turn.text, tagged?, less?)) {
            Some(range) => Ok(range),
            None if known.inside.is_empty() => Ok((0, 0)),
            None => Err(self.not_proven(turn, Part::Reasoning)),
        }
    }

    /// The calls of a turn, likewise.
    fn tool_calls(&self, turn: &TurnText) -> Result<(usize, usize)> {
        if !self.has(turn, has_calls) {
            return Ok((0, 0));
        }
        let known = self.known(turn, Part::ToolCalls)?;
        let fields = &self.written.conversation.fields;
        let is_unsaid = |index: usize| self.says(index) == Some(false);
        let is_said = |index: usize| self.says(index) == Some(true);
        let all = CallsOut { of: &|_| true, unsaid: &is_unsaid, as_turns: false };
        let said = CallsOut { of: &is_said, unsaid: &is_unsaid, as_turns: true };
        let less = self.other(1, turn, || all.apply(fields));
        let found = less.and_then(|less| self.added(turn, less, &known)).or_else(|| {
            let less = self.other(2, turn, || said.apply(fields))?;
            self.added(turn, less, &known)
        });
        match found {
            Some(range) => Ok(range),
            None if known.inside.is_empty() => Ok((0, 0)),
            None => self.rest(turn, &known, less).ok_or_else(|| self.not_proven(turn, Part::ToolCalls)),
        }
    }

    /// What a turn has more than `less`; the tokens that close them may differ, as where a call is closed by another.
    fn added(&self, turn: &TurnText, less: &str, known: &Known) -> Option<(usize, usize)> {
        let unclosed = |text: &str| self.written.specials.last_of(text, 0);
        insertion(&turn.text, less, known).or_else(|| {
            let (own, other) = (turn.text.get(..unclosed(&turn.text))?, less.get(..unclosed(less))?);
            insertion(own, other, known)
        })
    }

    /// All of a turn but its reasoning and what closes it, where nothing else is said in it: a template may write such a turn in
    /// another way without its calls, `less`, or not at all.
    fn rest(&self, turn: &TurnText, known: &Known, less: Option<&str>) -> Option<(usize, usize)> {
        let marked = self.marked?;
        if marked.cores(turn, Part::Content).next().is_some() {
            return None;
        }
        let closing = self.written.specials.last_of(&turn.text, less.map_or(0, |less| common_end(&turn.text, less)));
        let range = match self.reasoning(turn).ok()? {
            (0, to) => (to, closing),
            (from, to) if to >= closing => (0, from),
            _ => return None,
        };
        known.inside.iter().all(|&(start, end)| range.0 <= start && end <= range.1).then_some(range)
    }

    fn has(&self, turn: &TurnText, has: fn(&Message) -> bool) -> bool {
        self.written.conversation.fields.get(turn.message).is_some_and(has)
    }

    /// True where a message has a text of this part that is not blank.
    fn is_marked(&self, message: usize, part: Part) -> bool {
        self.marked.is_some_and(|marked| marked.texts_of(message, part).next().is_some())
    }

    /// Whether what a turn with calls says is written; none where it says nothing.
    fn says(&self, message: usize) -> Option<bool> {
        let marked = self.marked?;
        let is_written = || marked.texts_of(message, Part::Content).any(|text| marked.is_written(text));
        self.is_marked(message, Part::Content).then(is_written)
    }

    /// What is known of the place of a part.
    fn known(&self, turn: &TurnText, part: Part) -> Result<Known> {
        let marked = self.marked.ok_or_else(|| self.not_proven(turn, part))?;
        let others = [Part::Content, Part::Reasoning, Part::ToolCalls].into_iter().filter(|other| *other != part);
        let outside = others.clone().flat_map(|other| marked.cores(turn, other)).collect();
        let wholes = others.flat_map(|other| marked.wholes(turn, other)).flat_map(|(start, end)| [start, end]);
        let writes = self.written.rendered.writes.iter().filter_map(|&at| turn.offset(at));
        let mut known = Known { inside: marked.cores(turn, part).collect(), outside, edges: Vec::new() };
        known.add_edges(wholes.chain(writes).chain([0, turn.text.len()]));
        Ok(known)
    }

    /// White space that the content of a turn begins with.
    fn said(&self, turn: &TurnText) -> &str {
        let content =
            self.written.conversation.fields.get(turn.message).and_then(|message| message.get("content")?.as_str());
        let content = content.unwrap_or_default();
        content.get(..content.len().saturating_sub(content.trim_start().len())).unwrap_or_default()
    }

    /// What is written of a turn in a rendering of other messages, which have as many turns of the assistant.
    fn other(&self, at: usize, turn: &TurnText, messages: impl FnOnce() -> Option<Vec<Message>>) -> Option<&str> {
        let turns = self.others.get(at)?.get_or_init(|| self.render(messages()?)).as_ref()?;
        let place = self.written.conversation.assistant_turns.iter().position(|own| own.message == turn.message)?;
        turns.get(place)?.as_deref()
    }

    fn render(&self, messages: Vec<Message>) -> Option<Turns> {
        let Written { template, conversation, specials, .. } = *self.written;
        let other = conversation.with_messages(messages).ok()?;
        let rendered = template.render(&other, other.messages.len(), false).ok()?;
        let spans = turn_spans(template, &other, &rendered, specials).ok()?;
        let mut texts = TurnText::of(&spans, &rendered.text);
        let mut text_of = |message: usize| {
            let at = texts.iter().position(|turn| turn.message == message)?;
            Some(texts.swap_remove(at).text)
        };
        Some(other.assistant_turns.iter().map(|turn| text_of(turn.message)).collect())
    }

    fn not_proven(&self, turn: &TurnText, part: Part) -> TextError {
        let (name, option) = match part {
            Part::ToolCalls => ("tool calls", "trainOnToolCalls"),
            _ => ("reasoning", "trainOnReasoning"),
        };
        let sha256 = self.written.template.sha256().get(..8).unwrap_or_default();
        TextError::template(
            "chat template",
            &format!(
                "expected one (SHA-256 {sha256}…) that writes the {name} of messages[{}] in one place of its turn, got more \
                 that changes with them; use another chat template, leave the row out, or leave {option} at true",
                turn.message
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::Ordering;

    use serde_json::{Value as Json, json};

    use super::{PartOptions, Written, turn_parts};
    use crate::closing::SpecialTokens;
    use crate::conversation::Conversation;
    use crate::forms::Forms;
    use crate::leaves::Leaves;
    use crate::spans::turn_spans;
    use crate::template::ChatTemplate;

    const PLAIN: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.thinking %}<t>{{ m.thinking }}</t>{% endif %}{{ m.content }}{% for c in m.tool_calls or [] %}[{{ c.function.name }}]{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    /// Renderings that finding all parts takes, on top of those of the turns, and how many parts there are.
    fn renderings(source: &str, turns: usize) -> (usize, usize) {
        let call = json!([{"function": {"name": "f", "arguments": {}}}]);
        let message = |at: usize| match at % 3 {
            0 => json!({"role": "user", "content": "u"}),
            1 => json!({"role": "assistant", "content": "a", "thinking": "t", "tool_calls": call}),
            _ => json!({"role": "tool", "content": "r"}),
        };
        let messages: Vec<Json> = (0..3 * turns).map(message).collect();
        let conversation = Conversation::read(&json!({"messages": messages}), Forms::default()).unwrap();
        let template = ChatTemplate::compile(source, &BTreeMap::new()).unwrap();
        let specials = SpecialTokens::new(vec!["<|im_start|>".to_owned(), "<|im_end|>".to_owned()], Vec::new());
        let rendered = template.render(&conversation, conversation.messages.len(), false).unwrap();
        let spans = turn_spans(&template, &conversation, &rendered, &specials).unwrap();
        let leaves = Leaves::new(&template, &conversation, &rendered);
        let written = Written {
            template: &template,
            conversation: &conversation,
            rendered: &rendered,
            spans: &spans,
            specials: &specials,
            leaves: &leaves,
        };
        let before = template.renderings.load(Ordering::Relaxed);
        let parts = turn_parts(&written, PartOptions { tool_calls: true, reasoning: true }).unwrap();
        assert_eq!(parts.tool_calls.len(), parts.reasoning.len());
        (template.renderings.load(Ordering::Relaxed) - before, parts.reasoning.len())
    }

    #[test]
    fn the_number_of_renderings_does_not_grow_with_the_turns() {
        let strict = format!(
            "{{% for m in messages if m.role == 'tool' %}}{{% if not messages[loop.index0 * 3 + 1].tool_calls %}}{{{{ raise_exception('no call') }}}}{{% endif %}}{{% endfor %}}{PLAIN}"
        );
        for (source, most) in [(PLAIN, 16), (strict.as_str(), 16)] {
            let (few, many) = (renderings(source, 4), renderings(source, 200));
            assert_eq!((few.1, many.1), (4, 200));
            assert!(few.0 == many.0 && many.0 <= most, "{few:?} {many:?}");
        }
    }
}
