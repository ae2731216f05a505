//! Which tokens of a conversation are the assistant's.

use std::fs;

use crate::common::{CHATML, fixtures, folder, read_json, small, tokenizer_json_with};
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
fn a_turn_that_the_template_does_not_write_has_no_span() {
    let hiding = "{% for m in messages %}{% if loop.last or m.role == 'user' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let row = conversation(&[("user", "u"), ("assistant", "abc"), ("user", "v"), ("assistant", "b")]);
    expect(&small(hiding), &row, &[(3, "b<|im_end|>")]);
}

#[test]
fn a_turn_that_cannot_be_told_from_its_header_is_an_error() {
    let template = "{% for m in messages %}{{ '## past ' + m.role + ': ' + m.content + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let row = conversation(&[("user", "u"), ("assistant", "abc")]);
    let error = small(template).encode_conversation(&row, false).unwrap_err();
    assert_eq!(error.code, "TEMPLATE_INVALID");
    assert!(error.message.contains("messages[1]"), "{error}");
}

/// Templates are used with tokenizers that do not know their tokens, or know them as ordinary added ones.
#[test]
fn a_header_may_end_in_a_token_that_the_tokenizer_does_not_know() {
    let thinking = "{% for m in messages %}{{ ('<U>' if m.role == 'user' else '<A>') + m.content + ('' if m.role == 'user' else '<|im_end|>') }}{% endfor %}{% if add_generation_prompt %}<A><think>\n{% endif %}";
    let row = conversation(&[("user", "u"), ("assistant", "a"), ("user", "v"), ("assistant", "<think>\nb")]);
    expect(&small(thinking), &row, &[(1, "a<|im_end|>"), (3, "b<|im_end|>")]);
}

/// The end of the sequence stands where the prompt would, and begins as its token does.
#[test]
fn a_message_that_is_not_written_does_not_hide_the_answer_to_it() {
    let template = "{% for m in messages %}{% if m.role != 'tool' %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}";
    let row = conversation(&[("user", "u"), ("assistant", "a"), ("tool", "r"), ("assistant", "b")]);
    expect(&small(template), &row, &[(1, "a<|end|>"), (3, "b<|end|>")]);
}

/// As Mistral's templates do: the tools stand before the last question only, so that no earlier prompt is a prefix.
const TOOLS_LAST: &str = "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}{% if m.role == 'user' %}{% if tools and loop.index0 == ns.last %}[TOOLS]{{ tools | tojson }}[/TOOLS]{% endif %}[INST]{{ m.content }}[/INST]{% elif m.role == 'tool' %}[RESULT]{{ m.content }}[/RESULT]{% elif m.tool_calls %}[CALL]{{ m.tool_calls | tojson }}<|end|>{% else %}{{ m.content }}<|end|>{% endif %}{% endfor %}";

#[test]
fn what_moves_with_the_last_question_does_not_hide_earlier_turns() {
    let mut row = conversation(&[
        ("user", "u"),
        ("assistant", "a"),
        ("user", "v"),
        ("assistant", ""),
        ("tool", "r"),
        ("assistant", "b"),
    ]);
    row["tools"] = json!([{"name": "f"}]);
    row["messages"][3] = json!({"role": "assistant", "content": null, "tool_calls": [{"name": "f"}]});
    expect(&small(TOOLS_LAST), &row, &[(1, "a<|end|>"), (3, "[CALL][{\"name\": \"f\"}]<|end|>"), (5, "b<|end|>")]);
}

#[test]
fn turns_of_the_assistant_in_a_row_are_found() {
    let row = conversation(&[
        ("user", "u"),
        ("assistant", "a"),
        ("assistant", "b"),
        ("user", "v"),
        ("assistant", "c"),
        ("assistant", "d"),
    ]);
    expect(&small(CHATML), &row, &[(1, "a<|im_end|>"), (2, "b<|im_end|>"), (4, "c<|im_end|>"), (5, "d<|im_end|>")]);
    // Reasoning is kept after the last question only, and opened where there is none.
    let reasoning = "{% set ns = namespace(last=0) %}{% for m in messages[::-1] %}{% if m.role == 'user' and not ns.last %}{% set ns.last = messages | length - loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.index0 >= ns.last and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    expect(
        &small(reasoning),
        &row,
        &[(1, "a<|im_end|>"), (2, "b<|im_end|>"), (4, "c<|im_end|>"), (5, "<think>\n\n</think>\n\nd<|im_end|>")],
    );
}

#[test]
fn templates_are_followed_whatever_way_they_go_over_the_messages() {
    let row = conversation(&[("system", "s"), ("user", "u"), ("assistant", "a"), ("user", "v"), ("assistant", "a")]);
    let prompt = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let body = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n";
    for (before, after) in [
        ("{% for m in messages[1:] %}".to_owned(), "{% endfor %}".to_owned()),
        (
            "{% for i, m in [(0, 1)] %}{% endfor %}{% for m in messages if m.role != 'system' %}".to_owned(),
            "{% endfor %}".to_owned(),
        ),
        // Messages in a macro, in a captured block, and by their index: the last two cannot be followed.
        (
            "{% macro all(list) %}{% for m in list %}".to_owned(),
            "{% endfor %}{% endmacro %}{{ all(messages) }}".to_owned(),
        ),
        ("{% set text %}{% for m in messages %}".to_owned(), "{% endfor %}{% endset %}{{ text }}".to_owned()),
        ("{% for i in range(messages | length) %}{% set m = messages[i] %}".to_owned(), "{% endfor %}".to_owned()),
    ] {
        let template = format!("{before}{body}{after}{prompt}");
        expect(&small(&template), &row, &[(2, "a<|im_end|>"), (4, "a<|im_end|>")]);
    }
}

/// The results stand inside the turn that called for them.
#[test]
fn what_other_messages_say_inside_a_turn_is_not_trained() {
    let template = "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n{{ m.content }}{% for r in messages[loop.index:] if r.role == 'tool' %}[{{ r.content }}]{% endfor %}ok<|im_end|>{% elif m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let row = conversation(&[("user", "u"), ("assistant", "a"), ("tool", "r")]);
    expect(&small(template), &row, &[(1, "a"), (1, "ok<|im_end|>")]);
}

/// As Gemma 4 does: the results are looked up by their place.
#[test]
fn results_that_are_looked_up_inside_a_turn_are_not_trained() {
    let template = "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n{{ m.content }}{% for k in range(loop.index0 + 1, messages | length) %}{% set follow = messages[k] %}{% if follow.role == 'tool' %}[{{ follow.content }}]{% endif %}{% endfor %}ok<|im_end|>{% elif m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let row = conversation(&[("user", "u"), ("assistant", "a"), ("tool", "r"), ("tool", "s")]);
    expect(&small(template), &row, &[(1, "a"), (1, "ok<|im_end|>")]);
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

/// A last character of several tokens is whole, whether a tag ends there or nothing closes the turn.
#[test]
fn a_span_reaches_to_the_last_token_that_holds_any_of_it() {
    let tagged = "{% for m in messages %}{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}";
    let plain = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    let row = conversation(&[("user", "u"), ("assistant", "a 👋"), ("user", "v"), ("assistant", "é")]);
    for template in [tagged, plain] {
        expect(&small(template), &row, &[(1, "a 👋"), (3, "é")]);
    }
}

#[test]
fn keys_whose_value_is_null_are_absent() {
    let template = "{% for m in messages %}{{ m.role }}{% if m.tool_calls is defined %} calls{{ m.tool_calls | length }}{% endif %} {{ m.content }}{{ m.extra }}<|im_end|>{% endfor %}";
    let row = json!({"messages": [
        {"role": "user", "content": "u", "tool_calls": null, "train": null},
        {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": null}}], "extra": {"deep": null}},
    ]});
    let text = small(template).render(&row, false).unwrap().text;
    assert_eq!(text, "user u<|im_end|>assistant calls1 {'deep': None}<|im_end|>");
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
