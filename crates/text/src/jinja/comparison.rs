//! The language is jinja2's: small templates give what jinja2 gives in transformers' environment. The table is made by
//! `test/fixtures/generate/jinja_cases.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::conversation::Conversation;
use crate::error::Result;
use crate::exact_json::parse_json;
use crate::forms::Forms;
use crate::template::ChatTemplate;

/// Templates that jinja2 takes and that are refused by name here, with what the refusal names.
const REFUSED: [(&str, &str); 8] = [
    ("{% autoescape true %}{% endautoescape %}", "autoescape"),
    ("{% include 'x' %}", "include"),
    ("{{ self.b() }}{% block b %}{% endblock %}", "self"),
    ("{{ lipsum() }}", "lipsum"),
    ("{{ [1, 2] | random }}", "random"),
    ("{{ 'a b' | wordwrap(1) }}", "wordwrap"),
    ("{{ 'a' | urlize }}", "urlize"),
    ("{{ [1].append(2) }}", "append"),
];

fn render(source: &str, conversation: &Json) -> Result<String> {
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")].map(|(name, token)| (name.to_owned(), token.to_owned()));
    let template = ChatTemplate::compile(source, &BTreeMap::from(tokens))?;
    let conversation = Conversation::read(conversation, Forms::default())?;
    Ok(template.render(&conversation, conversation.messages.len(), false)?.text)
}

#[test]
fn templates_give_what_jinja2_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/misc/jinja.json");
    let recorded = parse_json(&fs::read_to_string(path).unwrap()).unwrap();
    let conversation = json!({"messages": recorded["messages"], "chat_template_kwargs": recorded["variables"]});
    let cases = recorded["cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let source = case["source"].as_str().unwrap();
        let got = render(source, &conversation);
        let agrees = match (&got, case["text"].as_str()) {
            (Ok(text), Some(expected)) => text == expected,
            (Err(error), None) => error.code == "TEMPLATE_INVALID",
            _ => false,
        };
        if !agrees {
            wrong.push(format!("{source}\n  jinja2: {}{}\n  here:   {got:?}", case["text"], case["error"]));
        }
    }
    assert!(!cases.is_empty() && wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (source, name) in REFUSED {
        let error = render(source, &json!({"messages": [{"role": "user", "content": ""}]})).unwrap_err();
        assert!(error.code == "TEMPLATE_INVALID" && error.message.contains(name), "{source}: {error}");
    }
}
