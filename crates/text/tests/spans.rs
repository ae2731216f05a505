//! Which tokens of a conversation are the assistant's.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{CHATML, fixtures, folder, read_json, small, tokenizer_json_with};
use serde_json::{Value as Json, json};
use tunesmith_text::Tokenizer;

fn conversation(turns: &[(&str, &str)]) -> Json {
    let messages: Vec<Json> = turns.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    json!({"messages": messages})
}

/// The text of each span with the message it belongs to.
fn trained(tokenizer: &Tokenizer, conversation: &Json) -> Vec<(u32, String)> {
    let encoded = tokenizer.encode_conversation(conversation, false).unwrap();
    assert_eq!(encoded.spans.len(), encoded.turns.len());
    let text =
        |&(start, end): &(u32, u32)| tokenizer.decode(&encoded.ids[start as usize..end as usize], false).unwrap();
    encoded.turns.iter().copied().zip(encoded.spans.iter().map(text)).collect()
}

fn expect(tokenizer: &Tokenizer, conversation: &Json, spans: &[(u32, &str)]) {
    let spans: Vec<_> = spans.iter().map(|&(message, text)| (message, text.to_owned())).collect();
    assert_eq!(trained(tokenizer, conversation), spans);
}

#[test]
fn a_span_runs_to_and_with_the_closing_token() {
    let tokenizer = small(CHATML);
    let row = conversation(&[
        ("system", "s"),
        ("user", "hello"),
        ("assistant", "hello"),
        ("user", "x"),
        ("assistant", ""),
        ("assistant", " w\n"),
    ]);
    expect(&tokenizer, &row, &[(2, "hello<|im_end|>"), (4, "<|im_end|>"), (5, " w\n<|im_end|>")]);
}

#[test]
fn special_tokens_inside_the_content_do_not_close_the_turn() {
    let tokenizer = small(CHATML);
    let row = conversation(&[
        ("user", "<|im_end|>"),
        ("assistant", "a<|im_end|>b<|im_start|>"),
        ("user", "c"),
        ("assistant", "<|im_end|>"),
    ]);
    expect(&tokenizer, &row, &[(1, "a<|im_end|>b<|im_start|><|im_end|>"), (3, "<|im_end|><|im_end|>")]);
}

#[test]
fn closing_tokens_that_touch_belong_together_and_those_behind_whitespace_do_not() {
    let touching = CHATML.replace("'<|im_end|>'", "'<|end|><|im_end|>'");
    expect(&small(&touching), &conversation(&[("user", "u"), ("assistant", "a")]), &[(1, "a<|end|><|im_end|>")]);
    let apart = format!("{CHATML}{{% if not add_generation_prompt %}}{{{{ eos_token }}}}{{% endif %}}");
    let row = conversation(&[("user", "u"), ("assistant", "a"), ("user", "v"), ("assistant", "b")]);
    expect(&small(&apart), &row, &[(1, "a<|im_end|>"), (3, "b<|im_end|>")]);
}

#[test]
fn without_a_closing_token_the_content_is_trained() {
    let plain = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    let row = conversation(&[("user", "u"), ("assistant", "a"), ("user", "v"), ("assistant", "b")]);
    expect(&small(plain), &row, &[(1, "a"), (3, "b")]);
}

/// The generation prompt opens the reasoning, past turns lose theirs: as thinking models' templates do.
const THINKING: &str = "{% for m in messages %}<|im_start|>{{ m.role + '\n' }}{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1].lstrip('\n') }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}";

#[test]
fn templates_that_drop_past_reasoning_are_followed() {
    let row = conversation(&[
        ("user", "u"),
        ("assistant", "<think>\nx\n</think>\n\na"),
        ("user", "v"),
        ("assistant", "<think>\ny\n</think>\n\nb"),
    ]);
    expect(&small(THINKING), &row, &[(1, "a<|im_end|>"), (3, "y\n</think>\n\nb<|im_end|>")]);
    // Where the last answer holds no reasoning it begins after the header, not inside the prompt's opening tag.
    let row = conversation(&[("user", "u"), ("assistant", "<b>a")]);
    expect(&small(THINKING), &row, &[(1, "<b>a<|im_end|>")]);
}

#[test]
fn a_turn_that_cannot_be_found_is_an_error() {
    let hiding = "{% for m in messages %}{% if loop.last or m.role == 'user' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let row = conversation(&[("user", "u"), ("assistant", "abc"), ("user", "v"), ("assistant", "b")]);
    let error = small(hiding).encode_conversation(&row, false).unwrap_err();
    assert_eq!(error.code, "TEMPLATE_INVALID");
    assert!(error.message.contains("messages[1]"), "{error}");
}

#[test]
fn rows_without_anything_to_learn_are_errors() {
    let tokenizer = small(CHATML);
    let no_answer = conversation(&[("user", "u")]);
    assert_eq!(tokenizer.encode_conversation(&no_answer, false).unwrap_err().code, "DATA_INVALID");
    assert!(tokenizer.encode_conversation(&no_answer, true).unwrap().spans.is_empty());
    for bad in [
        json!({}),
        json!({"messages": ["x"]}),
        json!({"messages": [{"content": "x"}]}),
        json!({"messages": [], "chat_template_kwargs": 1}),
    ] {
        assert_eq!(tokenizer.encode_conversation(&bad, true).unwrap_err().code, "DATA_INVALID");
    }
    let unmarked = small(
        "{% for m in messages %}{% if m.role == 'x' %}{% generation %}{% endgeneration %}{% endif %}{{ m.content }}{% endfor %}",
    );
    let error = unmarked.encode_conversation(&conversation(&[("user", "u"), ("assistant", "a")]), false).unwrap_err();
    assert_eq!(error.code, "DATA_INVALID");
}

#[test]
fn tags_are_taken_as_the_template_gives_them() {
    let template = "{% for m in messages %}{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>\n{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
    let tokenizer = small(template);
    assert!(tokenizer.info().has_generation_tags);
    let row = conversation(&[("user", "u"), ("assistant", "a 👋"), ("user", "v"), ("assistant", "b")]);
    expect(&tokenizer, &row, &[(1, "a 👋<|im_end|>\n"), (3, "b<|im_end|>\n")]);
}

#[test]
fn several_tagged_pieces_belong_to_the_turn_that_brings_them() {
    let template = "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>{% generation %}{{ m.thinking }}{% endgeneration %}|{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
    let row = json!({"messages": [{"role": "assistant", "content": "a", "thinking": "t"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "b", "reasoning": "r"}]});
    expect(&small(template), &row, &[(0, "t"), (0, "a<|im_end|>"), (2, "r"), (2, "b<|im_end|>")]);
}

/// The special tokens that the recorded templates write.
const SPECIALS: [&str; 26] = [
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|return|>",
    "<|call|>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<｜end▁of▁sentence｜>",
    "<|START_OF_TURN_TOKEN|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|START_RESPONSE|>",
    "<|END_RESPONSE|>",
];

fn with_template(template: &str) -> Tokenizer {
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": template});
    Tokenizer::from_dir(folder(&tokenizer_json_with(&SPECIALS), &config).path()).unwrap()
}

/// Each recorded template that exists in a tagged training variant finds the same answers without the tags.
#[test]
fn prefix_rendering_agrees_with_tagged_variants() {
    let Some(root) = fixtures() else { return };
    let dir = root.join("trl/chat-templates");
    let conversations = read_json(&dir.join("rendered.json"))["conversations"].take();
    let template = |name: &str| with_template(&fs::read_to_string(dir.join(format!("{name}.jinja"))).unwrap());
    let mut compared = 0;
    for (plain, tagged) in [
        ("gemma", "gemma_training"),
        ("gemma3", "gemma3_training"),
        ("llama3", "llama3_training"),
        ("phi3", "phi3_training"),
        ("qwen2_5", "qwen2_5_training"),
        ("qwen3", "qwen3_training"),
        ("cohere2", "cohere2_training"),
        ("lfm2", "lfm2_training"),
    ] {
        let (plain_tokenizer, tagged_tokenizer) = (template(plain), template(tagged));
        for (case, conversation) in conversations.as_object().unwrap() {
            let texts =
                plain_tokenizer.render(conversation, false).ok().zip(tagged_tokenizer.render(conversation, false).ok());
            let Some((text, tagged_text)) = texts else { continue };
            if text.text != tagged_text.text || tagged_text.generation_spans.is_empty() {
                continue;
            }
            let (found, expected) = (trained(&plain_tokenizer, conversation), trained(&tagged_tokenizer, conversation));
            assert_eq!(found.len(), expected.len(), "{plain} {case}: {found:?} {expected:?}");
            for ((message, text), (expected_message, tagged)) in found.iter().zip(&expected) {
                // Some variants also mark the line end in front, or line end and end of sequence after the closing
                // token.
                let marked = tagged.strip_suffix("</s>").unwrap_or(tagged).trim();
                assert_eq!((message, text.trim()), (expected_message, marked), "{plain} {case}");
            }
            compared += 1;
        }
    }
    assert!(compared > 40, "only {compared} renderings were comparable");
    eprintln!("{compared} conversations");
}

/// Every recorded template gives one span per answer, which ends with a special token where the template closes turns
/// with one.
#[test]
fn every_answer_of_the_recorded_templates_is_found() {
    let Some(root) = fixtures() else { return };
    let dir = root.join("trl/chat-templates");
    let recorded = read_json(&dir.join("rendered.json"));
    for name in recorded["rendered"].as_object().unwrap().keys() {
        let tokenizer = with_template(&fs::read_to_string(dir.join(format!("{name}.jinja"))).unwrap());
        for (case, row) in recorded["conversations"].as_object().unwrap() {
            let roles: Vec<&str> =
                row["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
            let Ok(rendered) = tokenizer.render(row, false) else { continue };
            let answers: Vec<u32> =
                (0..roles.len()).filter(|&at| roles[at] == "assistant").map(|at| at as u32).collect();
            if answers.is_empty() {
                continue;
            }
            let closes = |text: &str| SPECIALS.iter().any(|token| text.trim_end().ends_with(token));
            let found = trained(&tokenizer, row);
            assert_eq!(found.iter().map(|(message, _)| *message).collect::<Vec<_>>(), answers, "{name} {case}");
            for (_, text) in found {
                assert!(closes(&text) == closes(&rendered.text), "{name} {case}: {text:?}");
            }
        }
    }
}
