//! The forms in which rows write the same thing, and how a message gets the one its template takes.
//!
//! OpenAI writes the arguments of a call as JSON text, Hugging Face as an object: a template that applies `tojson` would
//! escape the text once more, one that joins texts refuses the object. A content may be a text or a list of text parts.

use std::sync::OnceLock;

use serde_json::{Map, Value as Json, json};

use crate::exact_json::parse_json;
use crate::jinja::{json_text, read_json};

/// How a template takes the arguments of a call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// As they are given.
    #[default]
    Any,
    Object,
    Text,
}

/// How a template takes contents.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Roles whose content may be a list of parts.
    pub parts: Vec<&'static str>,
    /// Roles whose content must be one.
    pub only_parts: Vec<&'static str>,
}

/// What was found out about a template, each when a row first needs it.
#[derive(Default)]
pub(crate) struct Probed {
    pub arguments: OnceLock<Arguments>,
    pub contents: OnceLock<Contents>,
}

/// The forms a row's messages get. Those of a row that needs no change are the default.
#[derive(Default, Clone, Copy)]
pub(crate) struct Forms<'a> {
    pub arguments: Arguments,
    /// None where contents stay as they are.
    pub contents: Option<&'a Contents>,
}

impl Forms<'_> {
    /// Gives a message its form. The call of OpenAI's older format becomes a tool call.
    pub fn apply(self, message: &mut Map<String, Json>) {
        if let Some(function) = message.get("function_call").filter(|_| !message.contains_key("tool_calls")).cloned() {
            message.remove("function_call");
            message.insert("tool_calls".to_owned(), json!([{"type": "function", "function": function}]));
        }
        let calls = message.get_mut("tool_calls").and_then(Json::as_array_mut).into_iter().flatten();
        for call in calls {
            let holder = if call["function"].is_object() { &mut call["function"] } else { call };
            if let Some(arguments) = holder.get_mut("arguments") {
                self.convert(arguments);
            }
        }
        if let Some(contents) = self.contents {
            convert_content(message, contents);
        }
    }

    fn convert(self, arguments: &mut Json) {
        let converted = match (self.arguments, &*arguments) {
            (Arguments::Object, Json::String(text)) if text.trim().is_empty() => Some(json!({})),
            (Arguments::Object, Json::String(text)) => parse_json(text).ok().filter(Json::is_object),
            (Arguments::Text, Json::Object(_)) => {
                read_json(arguments).and_then(|value| json_text(&value)).ok().map(Json::from)
            }
            _ => None,
        };
        if let Some(converted) = converted {
            *arguments = converted;
        }
    }
}

fn convert_content(message: &mut Map<String, Json>, contents: &Contents) {
    let role = message.get("role").and_then(Json::as_str).unwrap_or_default();
    let (takes, needs) = (contents.parts.contains(&role), contents.only_parts.contains(&role));
    let converted = match message.get("content") {
        Some(Json::Array(parts)) if !takes => Json::from(joined(parts)),
        Some(Json::String(text)) if needs => json!([{"type": "text", "text": text}]),
        _ => return,
    };
    message.insert("content".to_owned(), converted);
}

/// The text of parts, joined as templates that take parts do.
pub(crate) fn joined(parts: &[Json]) -> String {
    parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{Arguments, Contents, Forms};

    fn applied(forms: Forms, mut message: Json) -> Json {
        forms.apply(message.as_object_mut().unwrap());
        message
    }

    #[test]
    fn arguments_change_between_text_and_object() {
        let call = |arguments: Json| json!({"tool_calls": [{"function": {"name": "f", "arguments": arguments}}]});
        let (object, text) = (json!({"b": [1, "é\""], "a": {"c": null}}), r#"{"b": [1, "é\""], "a": {"c": null}}"#);
        let forms = |arguments| Forms { arguments, contents: None };
        assert_eq!(applied(forms(Arguments::Text), call(object.clone())), call(json!(text)));
        assert_eq!(applied(forms(Arguments::Object), call(json!(text))), call(object.clone()));
        assert_eq!(applied(forms(Arguments::Object), call(json!(" "))), call(json!({})));
        for kept in [json!("no json"), json!("[1]"), json!(null)] {
            assert_eq!(applied(forms(Arguments::Object), call(kept.clone())), call(kept));
        }
        for kept in [object, json!(text)] {
            assert_eq!(applied(Forms::default(), call(kept.clone())), call(kept));
        }
        let bare = |arguments: Json| json!({"tool_calls": [{"name": "f", "arguments": arguments}]});
        assert_eq!(applied(forms(Arguments::Object), bare(json!("{}"))), bare(json!({})));
    }

    #[test]
    fn a_function_call_is_a_tool_call() {
        let function = json!({"name": "f", "arguments": "{}"});
        let message = json!({"role": "assistant", "function_call": function});
        let expected = json!({"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        assert_eq!(applied(Forms::default(), message), expected);
    }

    #[test]
    fn contents_get_the_form_of_their_role() {
        let contents = Contents { parts: vec!["user", "tool"], only_parts: vec!["tool"] };
        let forms = Forms { arguments: Arguments::Any, contents: Some(&contents) };
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let message = |role: &str, content: &Json| json!({"role": role, "content": content});
        assert_eq!(applied(forms, message("user", &parts)), message("user", &parts));
        assert_eq!(applied(forms, message("assistant", &parts)), message("assistant", &json!("ab")));
        let one = json!([{"type": "text", "text": "ab"}]);
        assert_eq!(applied(forms, message("tool", &json!("ab"))), message("tool", &one));
    }
}
