//! Crafted templates end in typed errors: never in a panic, a hang or a dead process. Crafted tokenizer files are tried
//! with the other model files, in `crates/formats/tests/hostile`.

#![allow(clippy::unwrap_used)]

mod common;
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
#[path = "../../formats/tests/hostile/random.rs"]
mod random;

use std::{env, thread};

use common::{CHATML, folder, small, tokenizer_json};
use random::Random;
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
        let mut random = Random::of_case(case);
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
