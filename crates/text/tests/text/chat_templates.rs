//! Real chat templates give the texts, refusals and generation spans that transformers gives.

use std::fs;

use crate::common::{fixtures, folder, read_json, tokenizer_json};
use serde_json::{Value as Json, json};
use tunesmith_text::Tokenizer;

/// A tokenizer with the special tokens and template of the recorded renderings.
fn with_template(template: &str) -> Tokenizer {
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": template});
    Tokenizer::from_dir(folder(&tokenizer_json(), &config).path()).unwrap()
}

/// Code point offsets, as the fixture records them.
fn code_points(text: &str, spans: &[(usize, usize)]) -> Json {
    let count = |at: usize| text[..at].chars().count();
    spans.iter().map(|&(start, end)| json!([count(start), count(end)])).collect()
}

/// Digits of dates blanked: a template that asks for today's date writes another one than on the day of the recording.
fn without_dates(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for at in 0..bytes.len().saturating_sub(9) {
        let shape: Vec<u8> =
            bytes[at..at + 10].iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte }).collect();
        if shape == b"0000-00-00" {
            bytes[at..at + 10].copy_from_slice(&shape);
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn renderings_refusals_and_spans_are_those_of_transformers() {
    let Some(root) = fixtures() else { return };
    let dir = root.join("trl/chat-templates");
    let recorded = read_json(&dir.join("rendered.json"));
    let variables =
        json!({"date_string": "26 Jul 2024", "current_date": "2026-01-01", "todays_date": "01 January 2026"});
    let mut count = 0;
    for (name, cases) in recorded["rendered"].as_object().unwrap() {
        let template = fs::read_to_string(dir.join(format!("{name}.jinja"))).unwrap();
        let tokenizer = with_template(&template);
        for (case, expected) in cases.as_object().unwrap() {
            let mut conversation = recorded["conversations"][case].clone();
            conversation["chat_template_kwargs"] = variables.clone();
            let prompt = conversation["add_generation_prompt"] == true;
            let rendered = tokenizer.render(&conversation, prompt);
            count += 1;
            if expected.get("error").is_some() {
                assert_eq!(rendered.unwrap_err().code, "TEMPLATE_INVALID", "{name} {case}");
                continue;
            }
            let rendered = rendered.unwrap_or_else(|error| panic!("{name} {case}: {error}"));
            let expected_text = expected["text"].as_str().unwrap();
            if template.contains("strftime_now") {
                assert_eq!(without_dates(&rendered.text), without_dates(expected_text), "{name} {case}");
            } else {
                assert_eq!(rendered.text, expected_text, "{name} {case}");
            }
            let spans = expected.get("generation_spans").cloned().unwrap_or_else(|| json!([]));
            assert_eq!(code_points(&rendered.text, &rendered.generation_spans), spans, "{name} {case}");
        }
    }
    assert!(count > 0, "no case in {}", dir.display());
    eprintln!("{count} renderings");
}
