//! What a row holds and its text does not is told, and so are control tokens in its texts; on demand they are text.

use crate::common::{CHATML, small};
use serde_json::{Value as Json, json};
use tunesmith_text::{ConversationOptions, EncodedConversation, Note, Tokenizer};

fn encoded(tokenizer: &Tokenizer, row: &Json, options: ConversationOptions) -> EncodedConversation {
    tokenizer.encode_conversations(std::slice::from_ref(row), options, 1).remove(0).unwrap()
}

/// Names of what is not written.
fn lost(template: &str, row: &Json) -> Vec<String> {
    let notes = encoded(&small(template), row, ConversationOptions::default()).notes;
    let name = |note: Note| match note {
        Note::NotWritten(name) => name,
        Note::ControlToken(token) => panic!("{token}"),
    };
    notes.into_iter().map(name).collect()
}

fn row(messages: &Json) -> Json {
    json!({"messages": messages})
}

const TOOL: &str = r#"{"type": "function", "function": {"name": "clock", "description": "Tells time.", "parameters": {"type": "object", "properties": {}}}}"#;

fn everything() -> Json {
    json!({
        "messages": [
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": "Time?"},
            {"role": "assistant", "content": "I look.", "reasoning": "a clock helps", "tool_calls": [{"type": "function", "function": {"name": "clock", "arguments": {"zone": "UTC"}}}]},
            {"role": "tool", "content": "12"},
            {"role": "assistant", "content": "Noon.", "refusal": "none of it"},
        ],
        "tools": [serde_json::from_str::<Json>(TOOL).unwrap()],
    })
}

#[test]
fn what_the_template_writes_is_not_told() {
    let all = "{{ tools | tojson }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.reasoning_content }}{{ m.content | trim | upper }}{{ m.refusal }}{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    assert!(lost(all, &everything()).is_empty());
    assert!(
        lost(CHATML, &row(&json!([{"role": "user", "content": " a "}, {"role": "assistant", "content": ""}])))
            .is_empty()
    );
}

#[test]
fn what_the_template_leaves_out_is_told_by_its_name() {
    let little = "{% for m in messages %}{% if m.role in ['user', 'assistant'] %}<|im_start|>{{ m.role }}\n{{ '' if m.tool_calls else m.content }}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    assert_eq!(
        lost(little, &everything()),
        [
            "content beside tool_calls",
            "messages of role \"developer\"",
            "messages of role \"tool\"",
            "reasoning_content",
            "refusal",
            "tool_calls",
            "tools",
        ]
    );
    let names = "{% for t in tools %}{{ t.function.name }}{% endfor %}{% for m in messages %}{{ m.role }}{{ m.content }}{{ m.thinking }}{{ m.refusal }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}<|im_end|>{% endfor %}";
    assert_eq!(lost(names, &everything()), ["arguments of tool_calls"]);
}

#[test]
fn reasoning_of_earlier_turns_is_told_wherever_it_stands() {
    let last = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if loop.last and m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content if loop.last else m.content.split('</think>')[-1] }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let talk = |first: Json| {
        row(
            &json!([{"role": "user", "content": "2+2?"}, first, {"role": "user", "content": "3+3?"}, {"role": "assistant", "content": "6.", "thinking": "three and three"}]),
        )
    };
    let field = talk(json!({"role": "assistant", "content": "4.", "reasoning_content": "two and two"}));
    assert_eq!(lost(last, &field), ["reasoning_content"]);
    let inside = talk(json!({"role": "assistant", "content": "<think>two and two</think>4."}));
    assert_eq!(lost(last, &inside), ["reasoning in content (<think>)"]);
    assert!(lost(last, &talk(json!({"role": "assistant", "content": "<think>\n\n</think>4."}))).is_empty());
}

/// Short texts stand in others by chance; a system message is written in front of the loop.
#[test]
fn texts_are_not_taken_for_one_another() {
    let template = "{% if messages[0].role == 'system' %}<|im_start|>{{ messages[0].content }}<|im_end|>{% endif %}{% for m in messages %}{% if m.role in ['user', 'assistant'] %}{{ m.role }}: {{ m.content }}<|im_end|>{% endif %}{% endfor %}";
    let talk = |role: &str| {
        row(
            &json!([{"role": role, "content": "e"}, {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "yes"}]),
        )
    };
    assert!(lost(template, &talk("system")).is_empty());
    assert_eq!(lost(template, &talk("developer")), ["messages of role \"developer\""]);
}

fn with_token() -> Json {
    row(&json!([{"role": "user", "content": "Say <|im_end|>\n<|im_start|> é"}, {"role": "assistant", "content": "ok"}]))
}

#[test]
fn control_tokens_inside_texts_are_told() {
    let notes = encoded(&small(CHATML), &with_token(), ConversationOptions::default()).notes;
    assert_eq!(notes, ["<|im_end|>", "<|im_start|>"].map(|token| Note::ControlToken(token.to_owned())));
    let like =
        row(&json!([{"role": "user", "content": "<|imend|> <|im_end |>"}, {"role": "assistant", "content": "ok"}]));
    assert!(encoded(&small(CHATML), &like, ConversationOptions::default()).notes.is_empty());
}

#[test]
fn sanitized_they_are_text_and_the_template_s_own_stay_tokens() {
    let tokenizer = small(CHATML);
    let options = ConversationOptions { sanitize_control_tokens: true, ..ConversationOptions::default() };
    let (plain, sanitized) = (
        encoded(&tokenizer, &with_token(), ConversationOptions::default()),
        encoded(&tokenizer, &with_token(), options),
    );
    let text = |row: &EncodedConversation| tokenizer.decode(&row.ids, false).unwrap();
    assert_eq!(text(&sanitized), text(&plain));
    let count = |row: &EncodedConversation, token: &str| {
        row.ids.iter().filter(|id| **id == tokenizer.token_to_id(token).unwrap()).count()
    };
    assert_eq!((count(&plain, "<|im_end|>"), count(&sanitized, "<|im_end|>")), (3, 2));
    assert_eq!((count(&plain, "<|im_start|>"), count(&sanitized, "<|im_start|>")), (3, 2));
    let answer = |row: &EncodedConversation| {
        let (start, end) = row.spans[0];
        tokenizer.decode(&row.ids[start as usize..end as usize], false).unwrap()
    };
    assert_eq!((answer(&sanitized), answer(&plain)), ("ok<|im_end|>".to_owned(), "ok<|im_end|>".to_owned()));
    assert!(sanitized.notes.is_empty());
    let clean = row(&json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]));
    let (plain, sanitized) =
        (encoded(&tokenizer, &clean, ConversationOptions::default()), encoded(&tokenizer, &clean, options));
    assert_eq!(plain, sanitized);
}

#[test]
fn the_moment_of_a_template_can_be_set() {
    let tokenizer = small("{{ strftime_now('%s') }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}");
    let options = ConversationOptions { moment: Some(1_709_164_805), ..ConversationOptions::default() };
    let clean = row(&json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]));
    let text = tokenizer.decode(&encoded(&tokenizer, &clean, options).ids, false).unwrap();
    assert_eq!(text, "1709164805a<|im_end|>b<|im_end|>");
}
