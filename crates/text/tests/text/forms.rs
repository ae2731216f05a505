//! Every template gets messages in the form it takes, whichever of them a row has.

use crate::common::small;
use serde_json::{Value as Json, json};
use tunesmith_text::parse_json;

/// A template that writes calls by `call`.
fn calling(call: &str) -> String {
    format!(
        "{{% for m in messages %}}<|im_start|>{{{{ m.role }}}}\n{{{{ m.content }}}}{{% for c in m.tool_calls or [] %}}{call}{{% endfor %}}<|im_end|>{{% endfor %}}"
    )
}

fn row(arguments: &Json) -> Json {
    let call = json!({"type": "function", "function": {"name": "f", "arguments": arguments}});
    json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": null, "tool_calls": [call]}]})
}

fn rendered(template: &str, row: &Json) -> String {
    let tokenizer = small(template);
    tokenizer.decode(&tokenizer.encode_conversation(row, true).unwrap().ids, false).unwrap()
}

#[test]
fn arguments_come_as_the_template_writes_them() {
    let text = r#"{"b": [1, "é\"<"], "a": {"n": 1.0, "big": 12345678901234567890123}}"#;
    let (object, expected) = (parse_json(text).unwrap(), format!("f{text}<|im_end|>"));
    for call in [
        "{{ c.function.name }}{{ c.function.arguments | tojson }}",
        "{{ c.function.name + c.function.arguments }}",
        "{{ c.function.name }}{{ c.function.arguments }}",
        "{{ c.function.name }}{{ c.function.arguments if c.function.arguments is string else c.function.arguments | tojson }}",
    ] {
        for arguments in [&object, &json!(text)] {
            let written = rendered(&calling(call), &row(arguments));
            assert!(written.ends_with(&expected), "{call} {arguments}: {written}");
        }
    }
    let keys = calling("{% for key, value in c.function.arguments | items %}{{ key }}={{ value }} {% endfor %}");
    assert!(rendered(&keys, &row(&json!(r#"{"x": 1, "y": "z"}"#))).ends_with("x=1 y=z <|im_end|>"));
    let whole = calling("{{ c | tojson }}");
    assert!(rendered(&whole, &row(&json!("{}"))).ends_with(r#""arguments": {}}}<|im_end|>"#));
}

#[test]
fn arguments_that_are_no_object_stay_as_they_are() {
    let template = calling("{{ c.function.arguments | tojson }}");
    assert!(rendered(&template, &row(&json!("not json"))).ends_with("\"not json\"<|im_end|>"));
    assert!(rendered(&template, &row(&json!(null))).ends_with("null<|im_end|>"));
}

#[test]
fn a_function_call_is_written_as_a_tool_call() {
    let row = json!({"messages": [{"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}, "tool_calls": null}]});
    let template = calling("{{ c.function.name }}{{ c.function.arguments | tojson }}");
    assert_eq!(rendered(&template, &row), "<|im_start|>assistant\nf{}<|im_end|>");
}

fn parts(texts: &[&str]) -> Json {
    texts.iter().map(|text| json!({"type": "text", "text": text})).collect()
}

#[test]
fn contents_come_as_text_or_as_parts() {
    let row = |content: Json| json!({"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "b"}]});
    let plain = "{% for m in messages %}{{ m.role + ':' + m.content }}|{% endfor %}";
    let both = "{% for m in messages %}{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }}/{% endfor %}{% endif %}|{% endfor %}";
    let only = "{% for m in messages %}{{ m.role }}:{% for p in m.content %}{{ p.text }}/{% endfor %}|{% endfor %}";
    let shown = "{% for m in messages %}{{ m.role }}:{{ m.content }}|{% endfor %}";
    for (template, text, two) in [
        (plain, "user:a|assistant:b|", "user:ac|assistant:b|"),
        (shown, "user:a|assistant:b|", "user:ac|assistant:b|"),
        (both, "user:a|assistant:b|", "user:a/c/|assistant:b|"),
        (only, "user:a/|assistant:b/|", "user:a/c/|assistant:b/|"),
    ] {
        assert_eq!(rendered(template, &row(json!("a"))), text);
        assert_eq!(rendered(template, &row(parts(&["a", "c"]))), two);
    }
}

/// Templates differ between roles: here only a question may have parts.
#[test]
fn each_role_has_a_form_of_its_own() {
    let template = "{% for m in messages %}{% if m.role == 'user' and m.content is not string %}{{ m.content[0].text }}{% else %}{{ '(' + m.content + ')' }}{% endif %}{% endfor %}";
    let list = |role: &str| json!({"role": role, "content": parts(&["a"])});
    let row = json!({"messages": [list("system"), list("user"), list("assistant")]});
    assert_eq!(rendered(template, &row), "(a)(a)(a)");
}
