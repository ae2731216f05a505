//! Crafted templates and tokenizer files end in typed errors: never in a panic, a hang or a dead process.

#![allow(clippy::unwrap_used)]

mod common;

use std::{env, thread};

use common::{CHATML, folder, small, tokenizer_json};
use serde_json::{Value as Json, json};
use tunesmith_text::{TextError, Tokenizer};

fn row() -> Json {
    json!({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "w é 👋"}]})
}

/// Templates run on worker threads, whose stacks are smaller than the main thread's.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn templates_that_would_run_away_are_refused() {
    on_a_small_stack(|| {
        let parentheses = format!("{{{{ {}1{} }}}}", "(".repeat(20_000), ")".repeat(20_000));
        let cases = [
            "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
            "{% set ns = namespace(x='ab') %}{% for a in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "{{ 'x' * 2000000000 }}",
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "{% for a in range(100000) %}0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789{% endfor %}",
            "{% include 'x' %}",
            "{% import 'x' as y %}{{ y.z() }}",
            "{{ messages.x.y }}",
            "{{ raise_exception('no') }}",
            "{{ 1 | nofilter }}",
            parentheses.as_str(),
        ];
        for template in cases {
            let config = json!({"chat_template": template});
            let error = Tokenizer::from_dir(folder(&tokenizer_json(), &config).path())
                .and_then(|tokenizer| tokenizer.render(&row(), false))
                .unwrap_err();
            assert_eq!(error.code, "TEMPLATE_INVALID", "{template:.80}");
        }
    });
}

#[test]
fn values_nested_by_a_loop_do_not_end_the_process() {
    on_a_small_stack(|| {
        let tokenizer =
            small("{% set ns = namespace(x=[]) %}{% for a in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}done");
        let _ = tokenizer.render(&row(), false);
        let tokenizer = small(
            "{% set ns = namespace(x=[]) %}{% for a in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}{{ ns.x | tojson }}",
        );
        let _ = tokenizer.render(&row(), false);
    });
}

/// How many mutations each test tries: `CASES`, by default 2,000.
fn cases() -> u64 {
    env::var("CASES").map_or(2000, |cases| cases.parse().unwrap())
}

/// The `SplitMix64` generator: every case is reproducible from its number.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Loads a tokenizer and uses it in every way; the errors are its own business.
fn exercise(file: &Json, template: &str) -> Result<(), TextError> {
    let config = json!({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": template});
    let tokenizer = Tokenizer::from_dir(folder(file, &config).path())?;
    let ids = tokenizer.encode("hello w <|im_end|>é\n\n 42", true)?;
    tokenizer.decode(&ids, true)?;
    tokenizer.encode_pair("hello ", "w")?;
    tokenizer.encode_conversation(&row(), false)?;
    Ok(())
}

fn tokenizer_files() -> Vec<Json> {
    let byte_level = tokenizer_json();
    let added = byte_level["added_tokens"].clone();
    let mut template_processing = byte_level.clone();
    template_processing["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|pad|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|pad|>": {"id": "<|pad|>", "ids": [0], "tokens": ["<|pad|>"]}},
    });
    template_processing["truncation"] =
        json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 2});
    template_processing["padding"] = json!({"strategy": {"Fixed": 0}, "direction": "Left", "pad_to_multiple_of": 0, "pad_id": 0, "pad_type_id": 0, "pad_token": "<|pad|>"});
    let unigram = json!({
        "version": "1.0", "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "Unigram", "unk_id": 4, "byte_fallback": true, "vocab": [["<|pad|>", 0.0], ["<|im_start|>", 0.0], ["<|im_end|>", 0.0], ["<|end|>", 0.0], ["<unk>", 0.0], ["▁h", -2.0], ["e", -3.0], ["l", -3.5], ["o", -4.0], ["<0xC3>", -5.0]]},
    });
    let word_piece = json!({
        "version": "1.0", "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["<|end|>", 3], "cls": ["<|pad|>", 0]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"<|pad|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<|end|>": 3, "[UNK]": 4, "he": 5, "##llo": 6, "w": 7}},
    });
    vec![byte_level, template_processing, unigram, word_piece]
}

/// Changes one value somewhere in the file, mostly to another of its kind, or removes or doubles an entry.
fn mutate(value: &mut Json, random: &mut Random) {
    let numbers = [
        json!(0),
        json!(1),
        json!(-1),
        json!(255),
        json!(2_147_483_648_u64),
        json!(4_294_967_295_u64),
        json!(1e308),
        json!(-0.5),
    ];
    let texts =
        ["", "é", "##", "(a*)*b", "[", "<|end|>", "hello", "▁", "ByteLevel", "Unigram", "Sequence", "Removed", "Left"]
            .map(Json::from);
    let others = [json!(null), json!([]), json!({}), json!([[]]), json!(""), json!(7)];
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            let key = random.pick(&fields.keys().cloned().collect::<Vec<_>>()).clone();
            match random.below(16) {
                0 => drop(fields.shift_remove(&key)),
                1 => fields[&key] = random.pick(&others).clone(),
                _ => mutate(&mut fields[&key], random),
            }
        }
        Json::Array(items) if !items.is_empty() => {
            let at = random.below(items.len());
            match random.below(16) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => mutate(&mut items[at], random),
            }
        }
        Json::Number(_) => *value = random.pick(&numbers).clone(),
        Json::String(_) => *value = random.pick(&texts).clone(),
        Json::Bool(flag) => *flag = !*flag,
        _ => *value = random.pick(&others).clone(),
    }
}

#[test]
fn mutated_tokenizer_files_never_panic() {
    let files = tokenizer_files();
    for file in &files {
        exercise(file, CHATML).unwrap();
    }
    let mut refused = 0;
    for case in 0..cases() {
        let mut random = Random(case);
        let mut file = random.pick(&files).clone();
        for _ in 0..=random.below(2) {
            mutate(&mut file, &mut random);
        }
        if let Err(error) = exercise(&file, CHATML) {
            assert!(error.message.starts_with('['), "case {case}: {error}");
            refused += 1;
        }
    }
    eprintln!("{refused} of {} refused", cases());
}

#[test]
fn mutated_templates_never_panic() {
    let tagged = "{%- for m in messages -%}{{ '<|im_start|>' + m['role'] }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content | trim }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}{% raw %}{{{% endraw %}{# c #}{% set ns = namespace(a=1) %}{% macro f(x) %}{{ x | tojson(indent=2) }}{% endmacro %}{{ f(messages) }}{{ messages[0].content.split(' ')[-1:] }}";
    let pieces = [
        "{%",
        "%}",
        "{{",
        "}}",
        "{#",
        "#}",
        "-",
        "'",
        "\"",
        "{% generation %}",
        "{% endgeneration %}",
        "{% raw %}",
        "{% endraw %}",
        "{% for x in messages %}",
        "{% endfor %}",
        "{% if m %}",
        "{% endif %}",
        "é",
        "\u{f0000}",
        " ",
        "[",
        "]",
        "(",
        ")",
        "|",
        "~",
        "*",
        "99999999999",
        "loop.index",
        "messages",
        ".",
        "set ns.a = [ns.a]",
        "\\",
    ];
    exercise(&tokenizer_json(), tagged).unwrap();
    let mut refused = 0;
    for case in 0..cases() {
        let mut random = Random(case);
        let mut template: Vec<char> = random.pick(&[CHATML, tagged]).chars().collect();
        for _ in 0..=random.below(2) {
            let at = random.below(template.len());
            match random.below(3) {
                0 => drop(template.drain(at..(at + 1 + random.below(8)).min(template.len()))),
                1 => drop(template.splice(at..at, random.pick(&pieces).chars())),
                _ => template.truncate(template.len() - random.below(20).min(template.len())),
            }
        }
        let template: String = template.iter().collect();
        if let Err(error) = exercise(&tokenizer_json(), &template) {
            assert!(error.message.starts_with('['), "case {case}: {error}");
            refused += 1;
        }
    }
    eprintln!("{refused} of {} refused", cases());
}
