//! What a row holds and its text does not, and control tokens that its texts hold: what training should not pass over in
//! silence.
//!
//! A text of a message counts as written when it stands in what was written for the message. Where that is not so, or a
//! message holds more than its text, the conversation is rendered once more with a mark in the middle of each text: what
//! has no mark in that rendering was not written.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value as Json};

use crate::control_tokens::{ControlTokens, each_text, visit_texts};
use crate::conversation::Conversation;
use crate::ends::before;
use crate::template::{ChatTemplate, Rendered};

/// Something about a conversation that its owner should know before training.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// What the row holds and its text does not: a field, or messages of a role.
    NotWritten(String),
    /// A control token in a text of the row.
    ControlToken(String),
}

/// The notes about a conversation, each once; about control tokens where `specials` are to be looked for.
pub(crate) fn notes(
    template: &ChatTemplate,
    conversation: &Conversation,
    rendered: &Rendered,
    specials: Option<&ControlTokens>,
) -> Vec<Note> {
    let mut notes: BTreeSet<Note> =
        not_written(template, conversation, rendered).into_iter().map(Note::NotWritten).collect();
    let mut look = |value: &Json| {
        visit_texts(value, &mut |text| {
            let found = specials.into_iter().flat_map(|specials| specials.found(text));
            notes.extend(found.map(|token| Note::ControlToken(token.to_owned())));
        });
    };
    conversation.fields.iter().flat_map(Map::values).for_each(&mut look);
    look(&conversation.tools_json);
    notes.into_iter().collect()
}

fn not_written(template: &ChatTemplate, conversation: &Conversation, rendered: &Rendered) -> Vec<String> {
    if is_plainly_written(conversation, rendered) {
        return Vec::new();
    }
    let (mut fields, mut tools) = (conversation.fields.clone(), conversation.tools_json.clone());
    let mut leaves = Leaves::default();
    leaves.tools(&mut tools);
    fields.iter_mut().for_each(|message| leaves.message(message));
    let marked = conversation
        .with_fields(fields, tools)
        .and_then(|marked| template.render(&marked, marked.messages.len(), false));
    let marked = marked.map(|marked| marked.text).unwrap_or_default();
    let seen: HashSet<char> = marked.chars().filter(|c| *c >= FIRST_MARK).collect();
    // Where marks change more than themselves, or stand in the row already, what is there word for word counts as well.
    let without: String = marked.chars().filter(|c| *c < FIRST_MARK).collect();
    let exact = without == rendered.text;
    let is_written = |leaf: &Leaf| {
        let is_there =
            |(mark, text): &(char, String)| seen.contains(mark) || (!exact && rendered.text.contains(text.trim()));
        leaf.texts.is_empty() || leaf.texts.iter().any(is_there)
    };
    let mut missing = Vec::new();
    let mut call_is_missing = false;
    for leaf in &leaves.leaves {
        // The arguments of a call that is missing are missing with it.
        let is_told = leaf.name == ARGUMENTS && call_is_missing;
        let is_missing = !is_told && !is_written(leaf);
        call_is_missing = leaf.name == CALLS && is_missing;
        missing.extend(is_missing.then(|| leaf.name.clone()));
    }
    missing
}

/// True where every message is a text, which stands in what was written for it.
fn is_plainly_written(conversation: &Conversation, rendered: &Rendered) -> bool {
    let is_plain = |message: &Map<String, Json>| {
        message.iter().all(|(name, value)| !NOTED.contains(&name.as_str()) && (name != "content" || value.is_string()))
    };
    if !conversation.tools_json.is_null() || !conversation.fields.iter().all(is_plain) {
        return false;
    }
    let mut own = vec![String::new(); conversation.fields.len()];
    for piece in &rendered.pieces {
        let written = &rendered.text[piece.start..piece.end];
        own.get_mut(piece.message).into_iter().for_each(|own| own.push_str(written));
    }
    let content = |message: &Map<String, Json>| {
        message.get("content").and_then(Json::as_str).unwrap_or_default().trim().to_owned()
    };
    conversation.fields.iter().zip(&own).all(|(message, own)| own.contains(&content(message)))
}

/// Fields of a message that hold more than its text.
const NOTED: [&str; 3] = ["tool_calls", "reasoning_content", "refusal"];
const CALLS: &str = "tool_calls";
const ARGUMENTS: &str = "arguments of tool_calls";
/// Marks are the characters from here on, of the last private plane.
const FIRST_MARK: char = '\u{10_0000}';
const LAST_MARK: u32 = 0x10_FFFD;

/// Something that a template writes or does not write: the texts it consists of, with their marks.
struct Leaf {
    name: String,
    texts: Vec<(char, String)>,
}

/// The leaves of a conversation, in the order of their marks.
#[derive(Default)]
struct Leaves {
    leaves: Vec<Leaf>,
    count: u32,
}

impl Leaves {
    fn tools(&mut self, tools: &mut Json) {
        for tool in tools.as_array_mut().into_iter().flatten() {
            self.value("tools", tool);
        }
    }

    fn message(&mut self, message: &mut Map<String, Json>) {
        let role = message.get("role").and_then(Json::as_str).unwrap_or_default();
        let calls = message.get(CALLS).and_then(Json::as_array).is_some_and(|calls| !calls.is_empty());
        let name = if calls { "content beside tool_calls".to_owned() } else { format!("messages of role \"{role}\"") };
        match message.get_mut("content") {
            Some(Json::String(text)) => self.content(&name, text),
            Some(parts) => self.parts(&name, parts),
            None => {}
        }
        if let Some(text) = message.get_mut("reasoning_content").and_then(as_text) {
            let marked = self.text("reasoning_content", text);
            // The same text under its other names.
            for other in ["thinking", "reasoning"] {
                message.get_mut(other).and_then(as_text).into_iter().for_each(|text| text.clone_from(&marked));
            }
        }
        message.get_mut("refusal").and_then(as_text).into_iter().for_each(|text| drop(self.text("refusal", text)));
        for call in message.get_mut(CALLS).and_then(Json::as_array_mut).into_iter().flatten() {
            let function = if call["function"].is_object() { &mut call["function"] } else { call };
            function.get_mut("name").into_iter().for_each(|name| self.value(CALLS, name));
            function.get_mut("arguments").into_iter().for_each(|arguments| self.value(ARGUMENTS, arguments));
        }
    }

    /// A content; reasoning that stands in it has a leaf of its own.
    fn content(&mut self, name: &str, content: &mut String) {
        let Some((thought, answer)) = content.rsplit_once("</think>") else {
            self.text(name, content);
            return;
        };
        let (mut thought, mut answer) = (thought.to_owned(), answer.to_owned());
        if !thought.replace("<think>", "").trim().is_empty() {
            self.text("reasoning in content (<think>)", &mut thought);
        }
        self.text(name, &mut answer);
        *content = format!("{thought}</think>{answer}");
    }

    fn parts(&mut self, name: &str, parts: &mut Json) {
        let mut texts = Vec::new();
        for part in parts.as_array_mut().into_iter().flatten() {
            part.get_mut("text").and_then(as_text).into_iter().for_each(|text| texts.extend(self.mark(text)));
        }
        self.leaves.push(Leaf { name: name.to_owned(), texts });
    }

    /// One text, which is given back marked.
    fn text(&mut self, name: &str, text: &mut String) -> String {
        let texts = self.mark(text).into_iter().collect();
        self.leaves.push(Leaf { name: name.to_owned(), texts });
        text.clone()
    }

    /// A value, which is written when any of its texts is.
    fn value(&mut self, name: &str, value: &mut Json) {
        let mut texts = Vec::new();
        each_text(value, &mut |text| texts.extend(self.mark(text)));
        self.leaves.push(Leaf { name: name.to_owned(), texts });
    }

    /// Puts the next mark into a text. None for a blank text, and when all marks are used.
    fn mark(&mut self, text: &mut String) -> Option<(char, String)> {
        let code = (FIRST_MARK as u32).checked_add(self.count).filter(|code| *code <= LAST_MARK)?;
        let mark = char::from_u32(code).filter(|_| !text.trim().is_empty())?;
        self.count = self.count.saturating_add(1);
        let plain = text.clone();
        text.insert(middle(text), mark);
        Some((mark, plain))
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
