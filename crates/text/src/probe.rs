//! Finds out which forms a template takes, by rendering small conversations with it.

use serde_json::{Value as Json, json};

use crate::conversation::Conversation;
use crate::forms::{Arguments, Contents, Forms};
use crate::template::ChatTemplate;

const KEY: &str = "probe_key";
const VALUE: &str = "probe_value";

/// The forms of a row's messages. What no message of the row needs is not looked at.
pub(crate) fn forms<'a>(template: &'a ChatTemplate, row: &Json) -> Forms<'a> {
    let messages = || row.get("messages").and_then(Json::as_array).into_iter().flatten();
    let has = |name: &str| messages().any(|message| message.get(name).is_some_and(|value| !value.is_null()));
    let probed = &template.probed;
    let calls = has("tool_calls") || has("function_call");
    Forms {
        arguments: if calls { *probed.arguments.get_or_init(|| arguments(template)) } else { Arguments::Any },
        contents: Some(probed.contents.get_or_init(|| contents(template))),
    }
}

fn render(template: &ChatTemplate, messages: &Json) -> Option<String> {
    let tool = json!({"type": "function", "function": {"name": "probe", "description": "Probes.", "parameters": {"type": "object", "properties": {}}}});
    let conversation = Conversation::read(&json!({"messages": messages, "tools": [tool]}), Forms::default()).ok()?;
    Some(template.render(&conversation, conversation.messages.len(), false).ok()?.text)
}

/// A conversation with a call. Templates differ in whether a call may have a content.
fn with_call(arguments: &Json, content: &Json, result: &Json) -> Json {
    let call = json!({"id": "probe0001", "type": "function", "function": {"name": "probe", "arguments": arguments}});
    json!([
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": content, "tool_calls": [call]},
        {"role": "tool", "content": result, "tool_call_id": "probe0001", "name": "probe"},
        {"role": "assistant", "content": "."},
    ])
}

fn arguments(template: &ChatTemplate) -> Arguments {
    let object = json!({KEY: VALUE});
    let text = json!(format!("{{\"{KEY}\": \"{VALUE}\"}}"));
    for content in [json!(""), json!(null), json!(".")] {
        let written = |form: &Json| {
            render(template, &with_call(form, &content, &json!("."))).filter(|rendered| rendered.contains(VALUE))
        };
        match (written(&object), written(&text)) {
            (Some(_), None) => return Arguments::Object,
            (None, Some(_)) => return Arguments::Text,
            (Some(of_object), Some(of_text)) => return better(&of_object, &of_text),
            (None, None) => {}
        }
    }
    Arguments::Any
}

/// Where both forms are written: a text must not be escaped again, nor an object be written as Python shows it.
fn better(of_object: &str, of_text: &str) -> Arguments {
    if of_text.contains(&format!("\\\"{KEY}\\\"")) {
        Arguments::Object
    } else if of_object.contains(&format!("'{KEY}'")) {
        Arguments::Text
    } else {
        Arguments::Any
    }
}

const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

fn contents(template: &ChatTemplate) -> Contents {
    let text = json!(VALUE);
    let parts = json!([{"type": "text", "text": KEY}, {"type": "text", "text": VALUE}]);
    // A list that a template writes as it is shows its keys.
    let shows_keys = |text: &str| text.contains("'type': 'text'") || text.contains("\"type\": \"text\"");
    let is_taken = |text: &String| text.contains(KEY) && text.contains(VALUE) && !shows_keys(text);
    let takes = |role: &&str| written(template, role, &parts).is_some_and(|text| is_taken(&text));
    let takes_text = |role: &&str| written(template, role, &text).is_some_and(|text| text.contains(VALUE));
    let parts: Vec<&str> = ROLES.into_iter().filter(takes).collect();
    Contents { only_parts: parts.iter().copied().filter(|role| !takes_text(role)).collect(), parts }
}

/// A conversation in which a message of `role` has this content, with a question in whatever form the template takes.
fn written(template: &ChatTemplate, role: &str, content: &Json) -> Option<String> {
    let message = json!({"role": role, "content": content});
    if role == "user" {
        return render(template, &json!([message]));
    }
    if role == "tool" {
        let arguments = [json!({}), json!("{}")];
        return arguments.iter().find_map(|form| render(template, &with_call(form, &json!(""), content)));
    }
    let questions = [json!("?"), json!([{"type": "text", "text": "?"}])];
    questions.iter().find_map(|question| {
        let question = json!({"role": "user", "content": question});
        let messages = if role == "system" { [&message, &question] } else { [&question, &message] };
        render(template, &json!(messages))
    })
}
