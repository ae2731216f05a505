//! The texts that a row consists of, found again in its rendering.
//!
//! The conversation is rendered once more with a mark in the middle of each text: what has no mark there was not written,
//! and where a mark stands is where its text stands.

use std::cell::OnceCell;
use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use crate::control_tokens::each_text;
use crate::conversation::Conversation;
use crate::ends::before;
use crate::template::{ChatTemplate, Rendered};
use crate::thoughts::{Stretch, has_thoughts, stretches};
use crate::turn_text::TurnText;

pub(crate) const CALLS: &str = "tool_calls";
pub(crate) const ARGUMENTS: &str = "arguments of tool_calls";
/// Marks are the characters from here on, of the last private plane.
const FIRST_MARK: char = '\u{10_0000}';
const LAST_MARK: u32 = 0x10_FFFD;

/// What of a message a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What is said, and whatever else is neither of the others.
    Content,
    Reasoning,
    ToolCalls,
}

/// Something that a template writes or does not write: the texts it consists of.
pub(crate) struct Leaf {
    pub name: String,
    pub part: Part,
    /// Index of its message; none for tools.
    pub message: Option<usize>,
    pub texts: Vec<MarkedText>,
}

/// A text as it is without its mark.
pub(crate) struct MarkedText {
    mark: char,
    text: String,
    /// Byte offset of the mark in it.
    at: usize,
}

/// The leaves of a rendered conversation, found when they are first asked for.
pub(crate) struct Leaves<'a> {
    template: &'a ChatTemplate,
    conversation: &'a Conversation,
    rendered: &'a Rendered,
    marked: OnceCell<Marked<'a>>,
    /// Without the names and descriptions of tools.
    unnamed: OnceCell<Marked<'a>>,
}

impl<'a> Leaves<'a> {
    /// Of `rendered`, the whole conversation without generation prompt.
    pub fn new(template: &'a ChatTemplate, conversation: &'a Conversation, rendered: &'a Rendered) -> Self {
        Self { template, conversation, rendered, marked: OnceCell::new(), unnamed: OnceCell::new() }
    }

    /// The rendering with marks.
    pub fn marked(&self) -> &Marked<'a> {
        self.marked.get_or_init(|| self.render(true))
    }

    /// A rendering whose marks change nothing but themselves, if need be one in which the names of tools have none: templates ask
    /// for some by name.
    pub fn exact(&self) -> Option<&Marked<'a>> {
        let unnamed = || self.unnamed.get_or_init(|| self.render(false));
        [self.marked()]
            .into_iter()
            .find(|marked| marked.exact)
            .or_else(|| Some(unnamed()).filter(|marked| marked.exact))
    }

    fn render(&self, named: bool) -> Marked<'a> {
        let (mut fields, mut tools) = (self.conversation.fields.clone(), self.conversation.tools_json.clone());
        let mut marker = Marker { named, ..Marker::default() };
        marker.tools(&mut tools);
        fields.iter_mut().enumerate().for_each(|(index, message)| marker.message(index, message));
        let marked = self.conversation.with_fields(fields, tools);
        let marked = marked.and_then(|marked| self.template.render(&marked, marked.messages.len(), false));
        let marked = marked.map(|marked| marked.text).unwrap_or_default();
        let mut without = String::with_capacity(marked.len());
        let mut places: HashMap<char, Vec<usize>> = HashMap::new();
        for c in marked.chars() {
            if c < FIRST_MARK {
                without.push(c);
            } else {
                places.entry(c).or_default().push(without.len());
            }
        }
        let text = &self.rendered.text;
        Marked { leaves: marker.leaves, exact: without == *text, text, places }
    }
}

/// A rendering with marks.
pub(crate) struct Marked<'a> {
    /// In the order of the row.
    pub leaves: Vec<Leaf>,
    /// True where marks change nothing but themselves, and none stood in the row before.
    pub exact: bool,
    /// The rendering without marks.
    text: &'a str,
    /// Where each mark stands: byte offsets in `text`.
    places: HashMap<char, Vec<usize>>,
}

impl Marked<'_> {
    /// True where a text is written. Where marks are not exact, what is there word for word counts as well.
    pub fn is_written(&self, text: &MarkedText) -> bool {
        self.places.contains_key(&text.mark) || (!self.exact && self.text.contains(text.text.trim()))
    }

    /// The texts of a message that are a part of it.
    pub fn texts_of(&self, message: usize, part: Part) -> impl Iterator<Item = &MarkedText> {
        let leaves = self.leaves.iter().filter(move |leaf| leaf.message == Some(message) && leaf.part == part);
        leaves.flat_map(|leaf| &leaf.texts)
    }

    /// Where the texts of a part of a turn stand in what is written of it: byte offsets in its text. White space at their ends,
    /// which templates cut off, is left out.
    pub fn cores(&self, turn: &TurnText, part: Part) -> impl Iterator<Item = (usize, usize)> {
        let texts = self.texts_of(turn.message, part);
        texts.flat_map(|text| self.ranges(text, str::trim_start, str::trim_end)).filter_map(|range| turn.inside(range))
    }

    /// The same with the white space.
    pub fn wholes(&self, turn: &TurnText, part: Part) -> impl Iterator<Item = (usize, usize)> {
        let texts = self.texts_of(turn.message, part);
        texts.flat_map(|text| self.ranges(text, |head| head, |tail| tail)).filter_map(|range| turn.inside(range))
    }

    /// Where a text stands: for each time that it is written, as much of it as is there word for word. At least an empty range
    /// at its mark.
    fn ranges(&self, text: &MarkedText, head: fn(&str) -> &str, tail: fn(&str) -> &str) -> Vec<(usize, usize)> {
        let (before_mark, after_mark) = text.text.split_at_checked(text.at).unwrap_or_default();
        let (head, tail) = (head(before_mark), tail(after_mark));
        let places = self.places.get(&text.mark).map(Vec::as_slice).unwrap_or_default();
        let around = |&at: &usize| {
            let (written_before, written_after) = self.text.split_at_checked(at).unwrap_or_default();
            let start = if written_before.ends_with(head) { at.saturating_sub(head.len()) } else { at };
            let end = if written_after.starts_with(tail) { at.saturating_add(tail.len()) } else { at };
            (start, end)
        };
        places.iter().map(around).collect()
    }
}

/// The leaves of a conversation, in the order of their marks.
#[derive(Default)]
struct Marker {
    leaves: Vec<Leaf>,
    count: u32,
    message: Option<usize>,
    /// Whether names and descriptions of tools are marked.
    named: bool,
}

impl Marker {
    fn tools(&mut self, tools: &mut Json) {
        for tool in tools.as_array_mut().filter(|_| self.named).into_iter().flatten() {
            self.value("tools", Part::Content, tool);
        }
    }

    fn message(&mut self, index: usize, message: &mut Map<String, Json>) {
        self.message = Some(index);
        let role = message.get("role").and_then(Json::as_str).unwrap_or_default();
        let calls = message.get(CALLS).and_then(Json::as_array).is_some_and(|calls| !calls.is_empty());
        let name = if calls { "content beside tool_calls".to_owned() } else { format!("messages of role \"{role}\"") };
        match message.get_mut("content") {
            Some(Json::String(text)) => self.content(&name, text),
            Some(parts) => self.parts(&name, parts),
            None => {}
        }
        if let Some(text) = message.get_mut("reasoning_content").and_then(as_text) {
            let marked = self.text("reasoning_content", Part::Reasoning, text);
            // The same text under its other names.
            for other in ["thinking", "reasoning"] {
                message.get_mut(other).and_then(as_text).into_iter().for_each(|text| text.clone_from(&marked));
            }
        }
        let refusal = message.get_mut("refusal").and_then(as_text);
        refusal.into_iter().for_each(|text| drop(self.text("refusal", Part::Content, text)));
        for call in message.get_mut(CALLS).and_then(Json::as_array_mut).into_iter().flatten() {
            let function = if call["function"].is_object() { &mut call["function"] } else { call };
            let name = function.get_mut("name").filter(|_| self.named);
            name.into_iter().for_each(|name| self.value(CALLS, Part::ToolCalls, name));
            let arguments = function.get_mut("arguments");
            arguments.into_iter().for_each(|arguments| self.value(ARGUMENTS, Part::ToolCalls, arguments));
        }
    }

    /// A content; reasoning that stands in it has a leaf of its own.
    fn content(&mut self, name: &str, content: &mut String) {
        if !has_thoughts(content) {
            self.text(name, Part::Content, content);
            return;
        }
        let mut marked = String::with_capacity(content.len().saturating_add(8));
        for stretch in stretches(content) {
            let (name, part, text) = match stretch {
                Stretch::Tag(text) | Stretch::Space(text) => {
                    marked.push_str(text);
                    continue;
                }
                Stretch::Said(text) => (name, Part::Content, text),
                Stretch::Thought(text) => ("reasoning in content (<think>)", Part::Reasoning, text),
            };
            marked.push_str(&self.text(name, part, &mut text.to_owned()));
        }
        *content = marked;
    }

    fn parts(&mut self, name: &str, parts: &mut Json) {
        let own = self.leaves.len();
        for part in parts.as_array_mut().into_iter().flatten() {
            part.get_mut("text").and_then(as_text).into_iter().for_each(|text| self.content(name, text));
        }
        // One leaf for all that is said: a template may join the parts, or take some.
        let mut texts = Vec::new();
        for leaf in self.leaves.split_off(own.min(self.leaves.len())) {
            if leaf.part == Part::Content { texts.extend(leaf.texts) } else { self.leaves.push(leaf) }
        }
        self.add(name, Part::Content, texts);
    }

    /// One text, which is given back marked.
    fn text(&mut self, name: &str, part: Part, text: &mut String) -> String {
        let texts = self.mark(text).into_iter().collect();
        self.add(name, part, texts);
        text.clone()
    }

    /// A value, which is written when any of its texts is.
    fn value(&mut self, name: &str, part: Part, value: &mut Json) {
        let mut texts = Vec::new();
        each_text(value, &mut |text| texts.extend(self.mark(text)));
        self.add(name, part, texts);
    }

    fn add(&mut self, name: &str, part: Part, texts: Vec<MarkedText>) {
        self.leaves.push(Leaf { name: name.to_owned(), part, message: self.message, texts });
    }

    /// Puts the next mark into a text. None for a blank text, and when all marks are used.
    fn mark(&mut self, text: &mut String) -> Option<MarkedText> {
        let code = (FIRST_MARK as u32).checked_add(self.count).filter(|code| *code <= LAST_MARK)?;
        let mark = char::from_u32(code).filter(|_| !text.trim().is_empty())?;
        self.count = self.count.saturating_add(1);
        let (plain, at) = (text.clone(), middle(text));
        text.insert(at, mark);
        Some(MarkedText { mark, text: plain, at })
    }
}

fn as_text(value: &mut Json) -> Option<&mut String> {
    match value {
        Json::String(text) => Some(text),
        _ => None,
    }
}

/// A place in the middle of a text that is not blank, outside tags: templates trim texts, ask what they begin and end with
/// and split them at tags.
fn middle(text: &str) -> usize {
    let core = text.trim();
    let half = core.chars().count().div_ceil(2);
    let (head, tail) = core.split_at(core.char_indices().nth(half).map_or(core.len(), |(at, _)| at));
    let in_tag = head.rfind('<').is_some_and(|open| !head[open..].contains('>'));
    let after = tail.split_once('>').filter(|_| in_tag).map_or(tail, |(_, after)| after);
    before(text.trim_end(), after).len()
}

#[cfg(test)]
mod tests {
    use super::middle;

    #[test]
    fn marks_stand_inside_the_text_and_outside_tags() {
        let marked = |text: &str| {
            let mut marked = text.to_owned();
            marked.insert(middle(text), '|');
            marked
        };
        assert_eq!(
            ["a", " ab\n", "éäü", "<tag>x", "a<tag>", "a < b", "<a"].map(marked),
            ["a|", " a|b\n", "éä|ü", "<tag>|x", "a<tag>|", "a <| b", "<|a"]
        );
    }
}
