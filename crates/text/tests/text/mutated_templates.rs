//! Mutated chat templates: whatever a template says, it is compiled, rendered and followed to the spans and parts of its turns,
//! or refused by a typed error. Never a panic, a hang or a dead process.
//!
//! Each is reproducible from its number.

#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
#[path = "../../../formats/tests/hostile/random.rs"]
mod random;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use random::Random;
use serde_json::{Value as Json, json};
use tunesmith_text::{ConversationOptions, PartOptions, TextError, Tokenizer};

use crate::common::{CHATML, cases, small};

/// Every kind of statement and value that published templates have.
const ALL_KINDS: &str = "{%- set ns = namespace(last=0, called=false) -%}{%- macro call(c) -%}<tool_call>{{ c.function.name }}: {{ c.function.arguments | tojson(indent=2) }}</tool_call>{%- endmacro -%}{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t.function | tojson }}{{ ', ' if not loop.last }}{% endfor %}<|im_end|>\n{% endif %}{% for m in messages[::-1] %}{% if m.role == 'user' and not ns.last %}{% set ns.last = messages | length - loop.index0 %}{% endif %}{% endfor %}{%- for m in messages -%}{{ '<|im_start|>' + m['role'] }}\n{% if m.role == 'assistant' %}{% generation %}{% if m.thinking and loop.index0 >= ns.last %}<think>\n{{ m.thinking.strip('\\n') }}\n</think>\n\n{% endif %}{% set content = m.content or '' %}{{ content.split('</think>')[-1].lstrip() }}{% for c in m.tool_calls or [] %}\n{{ call(c) }}{% set ns.called = true %}{% endfor %}<|im_end|>{% endgeneration %}{% elif m.role == 'tool' %}{% filter trim %}{{ m.content }}{% endfilter %}<|im_end|>{% else %}{{ m.content if m.content is string else m.content | map(attribute='text') | join }}<|im_end|>{% endif %}\n{% endfor %}{% raw %}{{{% endraw %}{# c #}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// What is put in, or in the place of something else.
const PIECES: &[&str] = &[
    "{%",
    "%}",
    "{{",
    "}}",
    "{#",
    "#}",
    "{%-",
    "-%}",
    "-",
    "'",
    "\"",
    "é",
    "\u{f0000}",
    "\u{100000}",
    " ",
    "\n",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "|",
    "~",
    "*",
    "**",
    "//",
    "%",
    "<",
    ">=",
    "!=",
    ",",
    ":",
    "::-1",
    ".",
    "=",
    "\\",
    "0",
    "-1",
    "1e400",
    "99999999999",
    "{% generation %}",
    "{% endgeneration %}",
    "{% raw %}",
    "{% endraw %}",
    "{% for x in messages %}",
    "{% endfor %}",
    "{% if m %}",
    "{% else %}",
    "{% elif x %}",
    "{% endif %}",
    "{% set x %}",
    "{% endset %}",
    "{% macro f(x) %}",
    "{% endmacro %}",
    "{% call f() %}",
    "{% endcall %}",
    "{% break %}",
    "{% continue %}",
    "{% filter upper %}",
    "{% endfilter %}",
    "{{ f() }}",
    "{{ messages }}",
    "{{ loop.index }}",
    "{{ m.content * 9 }}",
    "{{ raise_exception('no') }}",
    "{{ '\\n' }}",
    " | tojson",
    " | length",
    " | reverse",
    " | list",
    " | default('')",
    " is string",
    " is defined",
    " not ",
    " and ",
    " or ",
    " in ",
    " if ",
    " else ",
    "loop",
    "messages",
    "m.role",
    "m.content",
    "m.tool_calls",
    "none",
    "true",
    ".items()",
    ".upper()",
    ".split()",
    "[0]",
    "set ns.a = [ns.a]",
    "recursive",
    "<|im_end|>",
    "<|im_start|>",
    "assistant",
    "</think>",
    "tool",
];

fn rows() -> [Json; 2] {
    let call = |city: &str| json!({"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"city": city, "days": 2}}});
    let tool = json!({"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": {"type": "object", "properties": {}}}});
    [
        json!({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "w é 👋"}]}),
        json!({"tools": [tool], "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Rome?"},
            {"role": "assistant", "content": "I look.", "reasoning_content": "ask", "tool_calls": [call("Rome"), call("Oslo")]},
            {"role": "tool", "content": "12", "tool_call_id": "call00001", "name": "weather"},
            {"role": "assistant", "content": "<think>\nwarm\n</think>\n\nWarm."},
        ]}),
    ]
}

/// Templates that this repository holds.
fn sources() -> Vec<String> {
    let dir: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/trl/chat-templates");
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "jinja"));
    files.sort();
    let read = files.iter().map(|file| fs::read_to_string(file).unwrap());
    [CHATML, ALL_KINDS].into_iter().map(str::to_owned).chain(read).collect()
}

/// One or two changes: something is left out, put in, doubled, moved, cut off, or taken from another template. Most put a word in
/// the place of one of its kind, so that what comes out is often a template.
fn mutated(sources: &[Vec<String>], random: &mut Random) -> String {
    let mut template = random.pick(sources).clone();
    for _ in 0..=random.below(2) {
        let at = random.below(template.len());
        let end = (at + 1 + random.below(3)).min(template.len());
        let piece: Vec<String> = template[at..end].to_vec();
        match random.below(20) {
            0 => drop(template.drain(at..end)),
            1 => drop(template.splice(at..at, [random.pick::<&str>(PIECES).to_string()])),
            2 => template[at] = random.pick::<&str>(PIECES).to_string(),
            3 => {
                template.drain(at..end);
                let to = random.below(template.len());
                template.splice(to..to, piece);
            }
            4 => drop(template.splice(at..at, piece)),
            5 => template.truncate(template.len() - random.below(9).min(template.len())),
            6 => template[at] = letters_changed(&template[at], random),
            _ => {
                let others: Vec<&String> = (0..20).map(|_| word(sources, random)).collect();
                let other =
                    others.into_iter().find(|other| kind(other) == kind(&template[at]) && **other != template[at]);
                template[at] = other.cloned().unwrap_or_default();
            }
        }
        if template.is_empty() {
            template.push(String::new());
        }
    }
    template.concat()
}

fn word<'a>(sources: &'a [Vec<String>], random: &mut Random) -> &'a String {
    let source = random.pick(sources);
    random.pick(source)
}

/// Words are of a kind where one may stand for the other.
fn kind(word: &str) -> u8 {
    let is_keyword = |word: &str| {
        ["for", "if", "elif", "else", "set", "macro", "raw", "filter", "generation", "in"]
            .contains(&word.trim_start_matches("end"))
    };
    match word.chars().next() {
        Some(c) if c.is_alphabetic() || c == '_' => u8::from(is_keyword(word)),
        Some(c) if c.is_numeric() => 2,
        Some(c) if c.is_whitespace() => 3,
        Some('<' | '>' | '|' | '+' | '=' | '~' | '-' | '*' | '/') => 4,
        _ => 5,
    }
}

/// A template as words, delimiters and the letters between them.
fn words(template: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = ' ';
    for c in template.chars() {
        let is_pair = matches!((before, c), ('{', '{' | '%' | '#') | ('}' | '%' | '#', '}'));
        match words.last_mut().filter(|_| is_pair || (is_word(before) && is_word(c))) {
            Some(word) => word.push(c),
            None => words.push(c.to_string()),
        }
        before = c;
    }
    words
}

fn letters_changed(word: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = random.below(letters.len());
    if random.one_in(2) {
        letters.insert(at, *random.pick(&['a', '0', ' ', 'é', '-', '\u{f0000}', '\'', '.']));
    } else if !letters.is_empty() {
        letters.remove(at);
    }
    letters.into_iter().collect()
}

/// Uses a template in every way. True where a row is rendered.
fn exercise(tokenizer: &mut Tokenizer, template: &str, rows: &[Json]) -> Result<bool, TextError> {
    tokenizer.set_chat_template(template.to_owned())?;
    let parts = PartOptions { tool_calls: true, reasoning: true };
    let whole = ConversationOptions { parts, ..ConversationOptions::default() };
    let prompt = ConversationOptions { add_generation_prompt: true, sanitize_control_tokens: true, ..whole };
    let mut is_rendered = false;
    for options in [whole, prompt] {
        for result in tokenizer.encode_conversations(rows, options, 1) {
            let Ok(encoded) = result.map_err(check) else { continue };
            is_rendered = true;
            let count = encoded.ids.len() as u32;
            let ranges = encoded.spans.iter().chain(&encoded.parts.tool_calls).chain(&encoded.parts.reasoning);
            assert!(ranges.into_iter().all(|&(start, end)| start <= end && end <= count), "a range beyond {count} ids");
        }
    }
    Ok(is_rendered)
}

fn check(error: TextError) {
    let codes = ["TEMPLATE_INVALID", "DATA_INVALID", "TOKENIZER_INVALID"];
    assert!(error.message.starts_with('[') && codes.contains(&error.code), "{error}");
}

#[test]
fn mutated_templates_end_in_ids_or_in_a_typed_error() {
    let (sources, rows) = (sources(), rows());
    let mut tokenizer = small(CHATML);
    for source in &sources {
        assert!(exercise(&mut tokenizer, source, &rows).unwrap(), "{source}");
    }
    let sources: Vec<Vec<String>> = sources.iter().map(|source| words(source)).collect();
    let (mut trials, mut compiled, mut rendered) = (0_u64, 0_u64, 0_u64);
    let mut slowest = Duration::ZERO;
    for case in cases(10_000) {
        trials += 1;
        let template = mutated(&sources, &mut Random::of_case(case));
        let begun = Instant::now();
        match exercise(&mut tokenizer, &template, &rows) {
            Ok(is_rendered) => {
                compiled += 1;
                rendered += u64::from(is_rendered);
            }
            Err(error) => check(error),
        }
        slowest = slowest.max(begun.elapsed());
        assert!(begun.elapsed().as_secs() < 10, "case {case} took {:?}: {template}", begun.elapsed());
    }
    // Many must get further than to the parser.
    assert!(4 * rendered > trials, "{rendered} of {trials} are rendered, {compiled} compile");
    println!(
        "\ntried {trials}: {compiled} templates compile, {rendered} render, the slowest took {} ms",
        slowest.as_millis()
    );
}
