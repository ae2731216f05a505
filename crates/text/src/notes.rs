//! What a row holds and its text does not, and control tokens that its texts hold: what training should not pass over in
//! silence.
//!
//! A text of a message counts as written when it stands in what was written for the message. Where that is not so, or a
//! message holds more than its text, the conversation is rendered once more with a mark in the middle of each text: what
//! has no mark in that rendering was not written.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::control_tokens::{ControlTokens, visit_texts};
use crate::conversation::Conversation;
use crate::leaves::{ARGUMENTS, CALLS, Leaf, Leaves};
use crate::template::Rendered;

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
    conversation: &Conversation,
    rendered: &Rendered,
    leaves: &Leaves,
    specials: Option<&ControlTokens>,
) -> Vec<Note> {
    let mut notes: BTreeSet<Note> =
        not_written(conversation, rendered, leaves).into_iter().map(Note::NotWritten).collect();
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

fn not_written(conversation: &Conversation, rendered: &Rendered, leaves: &Leaves) -> Vec<String> {
    if is_plainly_written(conversation, rendered) {
        return Vec::new();
    }
    let marked = leaves.marked();
    let is_written = |leaf: &Leaf| leaf.texts.is_empty() || leaf.texts.iter().any(|text| marked.is_written(text));
    let mut missing = Vec::new();
    let mut call_is_missing = false;
    for leaf in &marked.leaves {
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
