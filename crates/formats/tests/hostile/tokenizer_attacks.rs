//! Tokenizer files made by hand: what made the tokenizers crate panic, hang or run out of memory at load or at use, and
//! files that contradict themselves.

use serde_json::{Value, json};
use tunesmith_ops::Code;

use super::corpus::{Attack, attack, odd};

/// All of them.
pub fn attacks() -> Vec<Attack> {
    [documents(), models(), steps(), patterns()].into_iter().flatten().collect()
}

fn base() -> Value {
    json!({
        "version": "1.0",
        "added_tokens": [],
        "model": {"type": "BPE", "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4}, "merges": [["a", "b"]]},
    })
}

fn with(key: &str, value: Value) -> String {
    let mut file = base();
    file[key] = value;
    file.to_string()
}

fn refused(name: &str, text: impl Into<Vec<u8>>) -> Attack {
    attack(name, text, Code::FileInvalid)
}

fn documents() -> Vec<Attack> {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    vec![
        refused("empty.json", ""),
        refused("fourteen-bytes.json", "{\"model\":null}"),
        refused("list.json", "[]"),
        refused("no-model.json", "{}"),
        refused("not-utf8.json", b"{\"model\":\"\xff\"}"),
        refused("nested-100000-deep.json", &*format!("{{\"model\":{nested}}}")),
        refused("nested-in-a-normalizer.json", with("normalizer", json!(0)).replace(":0}", &format!(":{nested}}}"))),
        refused("infinity.json", base().to_string().replace("\"a\":1", "\"a\":Infinity")),
        refused("lone-surrogate.json", base().to_string().replace("\"ab\"", "\"\\ud800\"")),
        odd("nul-in-a-token.json", base().to_string().replace("\"<s>\"", "\"\\u0000\"")),
        refused("unknown-keys.json", with("__proto__", json!({"x": 1}))),
        refused("version-of-27-mb.json", with("version", json!("1.0".repeat(9_000_000)))),
    ]
}

fn models() -> Vec<Attack> {
    let model = |name: &str, model: Value| refused(name, with("model", model));
    let vocab = json!({"<s>": 0, "a": 1, "b": 2, "ab": 3});
    let bpe = |merges: Value, prefix: Value| json!({"type": "BPE", "vocab": vocab, "merges": merges, "continuing_subword_prefix": prefix});
    let merges_in_a_circle = json!([["a", "b"], ["ab", "a"], ["b", "ab"]]);
    vec![
        model("model-a-text.json", json!("BPE")),
        model("model-of-no-type.json", json!({})),
        model("model-unknown.json", json!({"type": "GPT", "vocab": vocab})),
        model("vocab-a-list-for-bpe.json", json!({"type": "BPE", "vocab": [["a", 0.0]], "merges": []})),
        model(
            "unigram-token-of-54-kb.json",
            json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0], ["b".repeat(54_000), 0.0]]}),
        ),
        model("vocab-id-negative.json", json!({"type": "BPE", "vocab": {"a": -1}, "merges": []})),
        model("vocab-id-2-to-32.json", json!({"type": "BPE", "vocab": {"a": 4_294_967_296_u64}, "merges": []})),
        model("vocab-id-fraction.json", json!({"type": "BPE", "vocab": {"a": 0.5}, "merges": []})),
        model("vocab-id-2-to-32-less-1.json", json!({"type": "WordLevel", "vocab": {"a": u32::MAX}, "unk_token": "a"})),
        model("merge-longer-than-any-token.json", bpe(json!([["ab", "ab"]]), Value::Null)),
        model("merge-of-one.json", bpe(json!(["ab"]), Value::Null)),
        model("merge-of-three.json", bpe(json!([["a", "b", "a"]]), Value::Null)),
        model("merge-of-unknown-tokens.json", bpe(json!([["x", "y"]]), Value::Null)),
        model("merge-empty.json", bpe(json!([["", ""]]), Value::Null)),
        model("merge-a-number.json", bpe(json!([1]), Value::Null)),
        model("merges-in-a-circle.json", bpe(merges_in_a_circle, Value::Null)),
        model("prefix-longer-than-the-token.json", bpe(json!([["a", "b"]]), json!("#########"))),
        model(
            "prefix-cuts-a-character.json",
            json!({"type": "BPE", "vocab": {"a": 0, "é": 1, "aé": 2}, "merges": [["a", "é"]], "continuing_subword_prefix": "#"}),
        ),
        model("dropout-2.json", json!({"type": "BPE", "vocab": vocab, "merges": [], "dropout": 2.0})),
        model("unigram-unk-out-of-range.json", json!({"type": "Unigram", "unk_id": 7, "vocab": [["a", 0.0]]})),
        model("unigram-without-tokens.json", json!({"type": "Unigram", "unk_id": 0, "vocab": []})),
        model("unigram-score-a-text.json", json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", "0"]]})),
        model(
            "word-piece-without-unk.json",
            json!({"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"a": 0}, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}),
        ),
        model("word-level-without-unk.json", json!({"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"a": 0}})),
        refused(
            "added-id-2-to-32-less-1.json",
            with(
                "added_tokens",
                json!([{"id": u32::MAX, "content": "x", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}]),
            ),
        ),
        refused("added-of-no-id.json", with("added_tokens", json!([{"content": "x"}]))),
        refused("added-a-number.json", with("added_tokens", json!([7]))),
    ]
}

fn steps() -> Vec<Attack> {
    let step = |name: &str, key: &str, value: Value| refused(name, with(key, value));
    let harmless = |name: &str, key: &str, value: Value| odd(name, with(key, value));
    let template =
        |single: Value| json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}});
    vec![
        step("normalizer-unknown.json", "normalizer", json!({"type": "Evil"})),
        step("charsmap-cut-short.json", "normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"})),
        step(
            "charsmap-lies-about-its-length.json",
            "normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="}),
        ),
        step("split-length-0.json", "pre_tokenizer", json!({"type": "FixedLength", "length": 0})),
        step(
            "template-names-no-token.json",
            "post_processor",
            template(json!([{"SpecialToken": {"id": "[X]", "type_id": 0}}])),
        ),
        step(
            "template-id-2-to-32-less-1.json",
            "post_processor",
            json!({"type": "TemplateProcessing", "pair": [],
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [u32::MAX], "tokens": ["<s>"]}}}),
        ),
        step(
            "template-of-a-strange-sequence.json",
            "post_processor",
            template(json!([{"Sequence": {"id": "C", "type_id": 0}}])),
        ),
        step("decoder-unknown.json", "decoder", json!({"type": "Evil"})),
        step("steps-nested-70-deep.json", "normalizer", nested_sequence()),
        harmless(
            "padding-to-0.json",
            "padding",
            json!({"strategy": {"Fixed": 0}, "direction": "Left", "pad_to_multiple_of": 0, "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"}),
        ),
        harmless(
            "padding-to-2-to-40.json",
            "padding",
            json!({"strategy": {"Fixed": 1_u64 << 40}, "direction": "Left", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"}),
        ),
        harmless(
            "truncation-stride-past-length.json",
            "truncation",
            json!({"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 9}),
        ),
        step("prepend-a-megabyte.json", "normalizer", json!({"type": "Prepend", "prepend": "a".repeat(1 << 20)})),
        step(
            "strip-beyond-the-text.json",
            "decoder",
            json!({"type": "Strip", "content": "a", "start": 4_000_000_000_u64, "stop": 4_000_000_000_u64}),
        ),
    ]
}

/// Patterns by which text is split before it is tokenized.
fn patterns() -> Vec<Attack> {
    let split = |pattern: Value| {
        with("pre_tokenizer", json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false}))
    };
    vec![
        refused("pattern-not-a-pattern.json", split(json!({"Regex": "("}))),
        refused("pattern-of-2-to-31-copies.json", split(json!({"Regex": "(a{65535}){65535}"}))),
        refused("pattern-of-1-mb.json", split(json!({"Regex": "\\s+".repeat(400_000)}))),
        refused("pattern-nested-20000-deep.json", split(json!({"Regex": "(".repeat(20_000)}))),
        odd("pattern-that-backtracks.json", split(json!({"Regex": "(a|aa)+(?=$)b"}))),
        odd("pattern-empty.json", split(json!({"String": ""}))),
    ]
}

/// Sequences in sequences, deeper than JSON readers go.
fn nested_sequence() -> Value {
    (0..70).fold(json!({"type": "NFC"}), |inner, _| json!({"type": "Sequence", "normalizers": [inner]}))
}
