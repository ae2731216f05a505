//! A tokenizer with several chat templates: which of them a row takes, and where they are read from.

use std::fs;

use crate::common::{folder, tokenizer_json};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tunesmith_text::Tokenizer;

/// A template that writes its own name.
fn named(name: &str) -> Json {
    json!({"name": name, "template": format!("{name}{{% for m in messages %}} {{{{ m.content }}}}{{% endfor %}}")})
}

fn with_list(names: &[&str]) -> TempDir {
    let list: Vec<Json> = names.iter().map(|name| named(name)).collect();
    folder(&tokenizer_json(), &json!({"chat_template": list}))
}

fn row(tools: &Json) -> Json {
    json!({"messages": [{"role": "user", "content": "u"}], "tools": tools})
}

fn texts(dir: &TempDir) -> [String; 3] {
    let tokenizer = Tokenizer::from_dir(dir.path()).unwrap();
    [json!(null), json!([]), json!([{"name": "f"}])].map(|tools| tokenizer.render(&row(&tools), false).unwrap().text)
}

#[test]
fn rows_with_tools_take_the_template_for_tools() {
    assert_eq!(texts(&with_list(&["rag", "tool_use", "default"])), ["default u", "tool_use u", "tool_use u"]);
    assert_eq!(texts(&with_list(&["default", "rag"])), ["default u", "default u", "default u"]);
}

#[test]
fn files_win_over_the_list_of_the_configuration() {
    let dir = with_list(&["default", "tool_use"]);
    fs::create_dir(dir.path().join("additional_chat_templates")).unwrap();
    fs::write(dir.path().join("additional_chat_templates/notes.txt"), "{% if").unwrap();
    fs::write(dir.path().join("chat_template.jinja"), "file").unwrap();
    assert_eq!(texts(&dir), ["file", "file", "file"]);
    fs::write(dir.path().join("additional_chat_templates/tool_use.jinja"), "file for tools").unwrap();
    assert_eq!(texts(&dir), ["file", "file for tools", "file for tools"]);
}

#[test]
fn the_hash_covers_both_templates() {
    let hash = |names: &[&str]| {
        let tokenizer = Tokenizer::from_dir(with_list(names).path()).unwrap();
        assert!(tokenizer.info().chat_template.as_ref().unwrap().starts_with("default"));
        tokenizer.info().chat_template_sha256.clone().unwrap()
    };
    assert_eq!(hash(&["default"]), hash(&["default", "rag"]));
    assert_ne!(hash(&["default"]), hash(&["default", "tool_use"]));
}

#[test]
fn a_row_without_a_template_is_refused_and_so_is_a_tokenizer() {
    let tokenizer = Tokenizer::from_dir(with_list(&["tool_use"]).path()).unwrap();
    assert_eq!(tokenizer.render(&row(&json!([])), false).unwrap().text, "tool_use u");
    let error = tokenizer.render(&row(&json!(null)), false).unwrap_err();
    assert!(error.code == "TEMPLATE_INVALID" && error.message.contains("tool_use"), "{error}");
    let error = Tokenizer::from_dir(with_list(&["rag", "chat"]).path()).err().unwrap();
    assert!(error.code == "TEMPLATE_INVALID" && error.message.contains("chat, rag"), "{error}");
}
