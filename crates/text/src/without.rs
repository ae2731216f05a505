//! Conversations without the tool calls, or the reasoning, of the assistant.

use serde_json::{Map, Value as Json};

use crate::conversation::REASONING;
use crate::leaves::CALLS;
use crate::thoughts::{has_thoughts, without_thoughts};

pub(crate) type Message = Map<String, Json>;

/// True for a turn of the assistant.
fn is_assistant(message: &Message) -> bool {
    message.get("role").is_some_and(|role| role == "assistant")
}

/// True for a turn of the assistant that calls tools.
pub(crate) fn has_calls(message: &Message) -> bool {
    is_assistant(message) && message.get(CALLS).and_then(Json::as_array).is_some_and(|calls| !calls.is_empty())
}

/// True for a turn of the assistant that says what it thinks.
pub(crate) fn has_reasoning(message: &Message) -> bool {
    let is_text = |value: &Json| value.as_str().is_some_and(|text| !text.trim().is_empty());
    let mut thinks = false;
    let mut looked = message.get("content").cloned().unwrap_or_default();
    contents(&mut looked, &mut |text| thinks |= has_thoughts(text));
    is_assistant(message) && (thinks || REASONING.iter().any(|name| message.get(*name).is_some_and(is_text)))
}

/// The messages without what the assistant thinks.
pub(crate) fn without_reasoning(messages: &[Message]) -> Vec<Message> {
    let mut messages = messages.to_vec();
    for message in messages.iter_mut().filter(|message| has_reasoning(message)) {
        REASONING.iter().for_each(|name| drop(message.remove(*name)));
        let content = message.get_mut("content");
        content.into_iter().for_each(|content| contents(content, &mut |text| *text = without_thoughts(text)));
    }
    messages
}

/// How calls are taken out.
pub(crate) struct CallsOut<'a> {
    /// The messages whose calls are taken out, by their index.
    pub of: &'a dyn Fn(usize) -> bool,
    /// Those of them that are left without their content as well.
    pub unsaid: &'a dyn Fn(usize) -> bool,
    /// What calls gave becomes a user's turn, for templates that take turns by turns only.
    pub as_turns: bool,
}

impl CallsOut<'_> {
    /// The messages without the calls; none where a user's turn is needed and there is none to copy.
    pub fn apply(&self, messages: &[Message]) -> Option<Vec<Message>> {
        let question = messages.iter().find(|message| message.get("role").is_some_and(|role| role == "user"));
        let mut out: Vec<Message> = Vec::with_capacity(messages.len());
        // Whether the message before was a call that is out, or an answer to it.
        let mut is_answered = false;
        for (index, message) in messages.iter().enumerate() {
            let is_turn = message.get("role").is_some_and(|role| TURNS.iter().any(|turn| role == *turn));
            if self.as_turns && is_answered && !is_turn {
                if out.last().is_some_and(is_assistant) {
                    out.push(question?.clone());
                }
                continue;
            }
            is_answered = has_calls(message) && (self.of)(index);
            let mut message = message.clone();
            if is_answered {
                message.remove(CALLS);
                let content = message.entry("content").or_insert_with(|| Json::from(""));
                if (self.unsaid)(index) {
                    contents(content, &mut String::clear);
                }
            }
            out.push(message);
        }
        Some(out)
    }
}

/// Roles that are no answers to calls.
const TURNS: [&str; 4] = ["system", "developer", "user", "assistant"];

/// Calls `change` with every text of a content.
fn contents(content: &mut Json, change: &mut impl FnMut(&mut String)) {
    match content {
        Json::String(text) => change(text),
        Json::Array(parts) => {
            for part in parts {
                if let Some(Json::String(text)) = part.get_mut("text") {
                    change(text);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value as Json, json};

    use super::{CallsOut, without_reasoning};

    fn messages(list: &Json) -> Vec<Map<String, Json>> {
        list.as_array().unwrap().iter().map(|message| message.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn reasoning_is_taken_out_wherever_it_stands() {
        let row = messages(&json!([
            {"role": "user", "content": "<think>u</think>"},
            {"role": "assistant", "content": "a", "reasoning_content": "t", "thinking": "t", "reasoning": "t"},
            {"role": "assistant", "content": "<think>\nt\n</think>\n\na"},
            {"role": "assistant", "content": [{"type": "text", "text": "t</think>a"}]},
            {"role": "assistant", "content": "a", "reasoning_content": ""},
        ]));
        let without = messages(&json!([
            {"role": "user", "content": "<think>u</think>"},
            {"role": "assistant", "content": "a"},
            {"role": "assistant", "content": "a"},
            {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": "a", "reasoning_content": ""},
        ]));
        assert_eq!(without_reasoning(&row), without);
    }

    #[test]
    fn calls_are_taken_out_and_their_results_may_become_turns() {
        let calls = json!([{"function": {"name": "f", "arguments": {}}}]);
        let row = messages(&json!([
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a", "tool_calls": calls},
            {"role": "tool", "content": "1"},
            {"role": "tool", "content": "2"},
            {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "content": "3"},
            {"role": "assistant", "content": "b"},
        ]));
        let out = |of: &dyn Fn(usize) -> bool, as_turns| {
            CallsOut { of, unsaid: &|index| index == 1, as_turns }.apply(&row).unwrap()
        };
        let mut all = row.clone();
        all[1] = messages(&json!([{"role": "assistant", "content": ""}])).remove(0);
        all[4] = all[1].clone();
        assert_eq!(out(&|_| true, false), all);
        let first = [&row[0], &all[1], &row[0], &row[4], &row[5], &row[6]].map(Clone::clone);
        assert_eq!(out(&|index| index == 1, true), first);
    }
}
