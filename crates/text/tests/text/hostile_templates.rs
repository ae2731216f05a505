//! Crafted templates end in typed errors: never in a panic, a hang or a dead process. Crafted tokenizer files are tried
//! with the other model files, in `crates/formats/tests/hostile`.

use std::thread;
use std::time::Instant;

use crate::common::{folder, small, tokenizer_json};
use serde_json::{Value as Json, json};
use tunesmith_text::{ConversationOptions, TextError, Tokenizer};

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
fn tags_are_found_in_one_pass() {
    on_a_small_stack(|| {
        let most = 1 << 20;
        for (before, piece) in
            [("", "{{0}}"), ("", "{%-%}"), ("", "x{#{{"), ("{% raw %}", "{%"), ("{% raw %}", "{% endraw {%")]
        {
            let template = format!("{before}{}", piece.repeat((most - before.len()) / piece.len()));
            let begun = Instant::now();
            let _ = try_out(&template);
            assert!(begun.elapsed().as_secs() < 5, "{before}{piece}: {:?}", begun.elapsed());
        }
    });
}

#[test]
fn a_rendering_may_be_as_long_as_its_conversation() {
    let tokenizer =
        small("{% for m in messages %}{{ m.content }}{% if m.twice %}{{ m.content * 8 }}{% endif %}{% endfor %}");
    let text = "four words in it ".repeat(600_000);
    let row = |twice: bool| json!({"messages": [{"role": "user", "content": text, "twice": twice}]});
    assert_eq!(tokenizer.render(&row(false), false).unwrap().text.len(), text.len());
    assert_eq!(tokenizer.render(&row(true), false).unwrap_err().code, "TEMPLATE_INVALID");
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

/// Renders a template of its own; what it gives is its own business.
fn try_out(template: &str) -> Result<String, TextError> {
    let config = json!({"chat_template": template});
    let tokenizer = Tokenizer::from_dir(folder(&tokenizer_json(), &config).path())?;
    Ok(tokenizer.render(&row(), false)?.text)
}

#[test]
fn long_chains_and_deep_nesting_end_in_text_or_in_an_error() {
    on_a_small_stack(|| {
        let many = 5000;
        for sign in [" + ", " - ", " * ", " // ", " % ", " ** ", " ~ ", " and ", " or ", " == ", " < ", " if 1 else "] {
            let _ = try_out(&format!("{{{{ {} }}}}", vec!["1"; many].join(sign)));
        }
        for (open, inner, close) in [
            ("-", "1", ""),
            ("+", "1", ""),
            ("not ", "1", ""),
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("{1: ", "1", "}"),
            ("f(", "1", ")"),
            ("f(a=", "1", ")"),
            ("x[", "1", "]"),
            ("x[:", "1", "]"),
            ("(1 if ", "1", ")"),
            ("1 in ", "[1]", ""),
            ("", "x", ".y"),
            ("", "x", "[0]"),
            ("", "x", "()"),
            ("", "x", " | trim"),
            ("", "x", " is defined"),
            ("", "x", " | default(1)"),
        ] {
            let expression = format!("{}{inner}{}", open.repeat(many), close.repeat(many));
            let _ = try_out(&format!("{{{{ {expression} }}}}"));
            let _ = try_out(&format!("{{% if false %}}{{{{ {expression} }}}}{{% endif %}}"));
        }
        for (open, close) in [
            ("{% if 1 %}", "{% endif %}"),
            ("{% for a in [1] %}", "{% endfor %}"),
            ("{% for a in [] %}{% else %}", "{% endfor %}"),
            ("{% set a %}", "{% endset %}"),
            ("{% with %}", "{% endwith %}"),
            ("{% filter trim %}", "{% endfilter %}"),
            ("{% macro f() %}", "{% endmacro %}"),
            ("{% call f() %}", "{% endcall %}"),
            ("{% generation %}", "{% endgeneration %}"),
            ("{% set (", ",) = 1 %}"),
        ] {
            let _ = try_out(&format!("{}x{}", open.repeat(many), close.repeat(many)));
        }
        let branches: Vec<String> = (0..1700).map(|n| format!("{{% elif number == {n} %}}{n}")).collect();
        let branches = branches.concat();
        assert_eq!(try_out(&format!("{{% if false %}}{branches}{{% else %}}end{{% endif %}}")).unwrap(), "end");
        assert_eq!(try_out(&format!("{{{{ {} }}}}", vec!["1"; many].join(" + "))).unwrap(), many.to_string());
        assert!(try_out(&"{{ 1 }}".repeat(200_000)).is_err(), "a template of more than a megabyte");
    });
}

/// Expressions whose value would fill the memory; `HUGE` is a number of eleven digits.
const HUGE: &[&str] = &[
    "'{:>HUGE}'.format(1)",
    "'{:0HUGE}'.format(1)",
    "'{:HUGE,}'.format(1)",
    "'{:.HUGEf}'.format(1.5)",
    "'{:{}}'.format(1, HUGE)",
    "'%HUGEd' % 1",
    "'%-HUGEs' % 'a'",
    "'%.HUGEd' % 1",
    "'%.HUGEf' % 1.5",
    "'%*d' % (HUGE, 1)",
    "'%HUGEd' | format(1)",
    "'a'.center(HUGE)",
    "'a' | center(HUGE)",
    "'a'.ljust(HUGE)",
    "'a'.rjust(HUGE, 'é')",
    "'a'.zfill(HUGE)",
    "'\\t'.expandtabs(HUGE)",
    "'a\\nb' | indent(HUGE)",
    "'a' * HUGE",
    "HUGE * 'a'",
    "[1] * HUGE",
    "(1,) * HUGE",
    "('a' * 1000000).replace('a', 'a' * 1000000)",
    "('a' * 1000000) | replace('', 'a' * 1000)",
    "('a' * 100000) | join('b' * 100000)",
    "('b' * 100000).join('a' * 100000)",
    "[1] | tojson(indent=HUGE)",
    "[[[[1]]]] | tojson(indent='a' * 10000000)",
    "[1] | batch(HUGE, 'x') | list",
    "[1] | slice(HUGE) | list",
    "2 ** HUGE",
    "(10 ** 4000) * (10 ** 4000)",
    "[range(100000) | list] * 100000",
    "range(HUGE)",
    "('<' * 10000000) | e",
    "('%s' * 10000) % (('a' * 100000,) * 10000)",
    "('{0}' * 10000).format('a' * 100000)",
    "dict(a='a' * 300000000)",
];

/// Templates that take more with every turn.
const DOUBLING: &[&str] = &[
    "{% set ns = namespace(x=[1]) %}{% for a in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x='ab') %}{% for a in range(60) %}{% set ns.x = '%s%s' % (ns.x, ns.x) %}{% endfor %}",
    "{% set ns = namespace(x='ab') %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}",
    "{% set ns = namespace(x='ab') %}{% for a in range(60) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x={}) %}{% for a in range(60) %}{% set ns.x = {1: ns.x, 2: ns.x} %}{% endfor %}{{ ns.x | tojson }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro %}{{ g() }}",
    "{% set ns = namespace() %}{% for a in range(99999) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}{{ ns.x }}",
];

#[test]
fn what_a_template_makes_is_paid_before_it_is_made() {
    let started = Instant::now();
    on_a_small_stack(|| {
        for case in HUGE {
            let error = try_out(&format!("{{{{ {} }}}}", case.replace("HUGE", "99999999999"))).unwrap_err();
            assert_eq!(error.code, "TEMPLATE_INVALID", "{case}");
        }
        for template in DOUBLING {
            let error = try_out(template).unwrap_err();
            assert_eq!(error.code, "TEMPLATE_INVALID", "{template}");
        }
        // What holds itself is freed; nothing of it is written.
        assert!(try_out("{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}").is_err());
    });
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn many_small_conversations_share_what_a_template_may_take() {
    let tokenizer = small("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}");
    let started = Instant::now();
    let results = tokenizer.encode_conversations(&vec![row(); 5000], ConversationOptions::default(), 1);
    assert!(results.iter().all(|result| result.as_ref().is_err_and(|error| error.code == "TEMPLATE_INVALID")));
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    eprintln!("5000 runaway rows in {:?}", started.elapsed());
}
