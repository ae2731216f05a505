//! Texts are encoded in parts, and words are remembered: the ids are those of the library's single call, and a start of them
//! where that is enough.

use std::fs;

use serde_json::{Value as Json, json};
use tunesmith_text::Tokenizer;

use crate::common::{cases, fixtures, folder, read_json, tokenizer_json};

const KINDS: [&str; 10] = [
    "The quick brown fox jumps over the lazy dog, 42 times in 1999; it's größer als 日本 (x+y).  Two  spaces\n\nand lines\r\n",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z A B C hello world ",
    "日本語の文章には空白がありません。",
    "x",
    " ",
    "e\u{301} o\u{308}k \u{1e0b}\u{323} n\u{303} a\u{302}\u{301} ﬁ ſ İstanbul ",
    "👩‍👩‍👧 fn main() { println!(\"{}\", 1_000); } \t tabs\tand\u{a0}others ",
    "user said<|im_start|> hello <|im_end|>world<|pad|> x <|end|> y ",
    "word. Word! word? \"word\" 'word' don't they'll 12345678 3.14 1,000,000 ",
    "▁a ▁ b▁c Ġd e ",
];

/// Texts of more than two parts: words alone, runs of every kind, and all kinds mixed; and many short ones.
fn texts() -> impl Iterator<Item = String> {
    let run = |kind: &&str| kind.repeat(4000 / kind.len());
    let runs: String = KINDS.iter().rev().map(run).collect();
    let words: Vec<&str> = KINDS.iter().flat_map(|kind| kind.split(' ')).collect();
    let mut random = generator(7);
    let long = mixed(&words, 5000, &mut random);
    let short = cases(500).map(move |_| mixed(&words, 1 + random(12), &mut random));
    [KINDS[0].repeat(300), runs, long].into_iter().chain(short)
}

/// Numbers below a limit, from a seed.
fn generator(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

/// Words in any order, with what stands between words.
fn mixed(words: &[&str], count: usize, random: &mut impl FnMut(usize) -> usize) -> String {
    let ends = ["", " ", " ", " ", "  ", "\n", ". ", "- ", "\u{a0}", "7 "];
    (0..count).map(|_| [words[random(words.len())], ends[random(ends.len())]].concat()).collect()
}

/// Compares with the library's own call. Returns whether a text of words was left early.
fn check(name: &str, file: &Json) -> bool {
    let reference = tokenizers::Tokenizer::from_bytes(file.to_string().as_bytes()).unwrap();
    let tokenizer = Tokenizer::from_dir(folder(file, &json!({})).path()).unwrap();
    let (mut tried, mut left_early) = (0, false);
    for (n, text) in texts().enumerate() {
        tried = n + 1;
        for special in [false, true] {
            let whole = reference.encode(text.as_str(), special).unwrap();
            let parts = tokenizer.encode_with_offsets(&text, special).unwrap();
            let ids: Vec<i32> = whole.get_ids().iter().map(|id| *id as i32).collect();
            assert!(parts.ids == ids, "{name}, text {n}, special tokens {special}");
            assert!(parts.offsets == whole.get_offsets(), "offsets of {name}, text {n}, special tokens {special}");
            if !special {
                continue;
            }
            for most in [2, 6000] {
                let start = tokenizer.encode_texts(&[&text], false, Some(most), 1).remove(0).unwrap();
                let is_start = start.len() == most && ids.starts_with(&start);
                assert!(is_start || start == ids, "{name}, text {n}, {most} ids of {}", ids.len());
                left_early |= n == 0 && most == 2 && start.len() < ids.len();
            }
        }
    }
    println!("\ntried {tried}");
    left_early
}

fn with(changes: &[(&str, Json)]) -> Json {
    let mut file = tokenizer_json();
    changes.iter().for_each(|(key, value)| file[*key] = value.clone());
    file
}

fn split(pattern: &str, behavior: &str) -> Json {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": false})
}

fn in_bytes(steps: &[Json]) -> Json {
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let steps = [steps, &[bytes]].concat();
    json!({"type": "Sequence", "pretokenizers": steps})
}

fn framed() -> Json {
    let (bos, eos) = (
        json!({"SpecialToken": {"id": "<|pad|>", "type_id": 0}}),
        json!({"SpecialToken": {"id": "<|end|>", "type_id": 0}}),
    );
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let tokens = json!({
        "<|pad|>": {"id": "<|pad|>", "ids": [0], "tokens": ["<|pad|>"]},
        "<|end|>": {"id": "<|end|>", "ids": [3], "tokens": ["<|end|>"]},
    });
    let template = json!({"type": "TemplateProcessing", "single": [bos, text, eos], "pair": [text, text], "special_tokens": tokens});
    let trims = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    json!({"type": "Sequence", "processors": [trims, template]})
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

#[test]
fn byte_level_tokenizers_are_left_early() {
    let digits = json!({"type": "Digits", "individual_digits": true});
    let own = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let cases = [
        ("gpt2", with(&[])),
        ("gpt2 with a frame", with(&[("post_processor", framed())])),
        ("smollm", with(&[("pre_tokenizer", json!({"type": "Sequence", "pretokenizers": [digits, own]}))])),
        ("llama3", with(&[("pre_tokenizer", in_bytes(&[split(LLAMA3, "Isolated")])), ("post_processor", framed())])),
        (
            "qwen2",
            with(&[("pre_tokenizer", in_bytes(&[split(LLAMA3, "Isolated")])), ("normalizer", json!({"type": "NFC"}))]),
        ),
        (
            "o200k",
            with(&[("pre_tokenizer", in_bytes(&[split(O200K, "Isolated")])), ("normalizer", json!({"type": "NFKC"}))]),
        ),
        (
            "deepseek",
            with(&[(
                "pre_tokenizer",
                in_bytes(&[
                    split(r"\p{N}{1,3}", "Isolated"),
                    split("[一-龥぀-ゟ゠-ヿ]+", "Isolated"),
                    split(LLAMA3, "Isolated"),
                ]),
            )]),
        ),
        (
            "lower case",
            with(&[(
                "normalizer",
                json!({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]}),
            )]),
        ),
    ];
    for (name, file) in cases {
        assert!(check(name, &file), "{name}");
    }
    for behavior in ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] {
        let punctuation = json!({"type": "Punctuation", "behavior": behavior});
        let own = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        let file = with(&[("pre_tokenizer", json!({"type": "Sequence", "pretokenizers": [punctuation, own]}))]);
        assert!(check(behavior, &file), "{behavior}");
    }
    let letters = with(&[("pre_tokenizer", in_bytes(&[split(r"\p{L}+|[^\p{L}]+", "Isolated")]))]);
    assert!(check("cut after letters alone", &letters));
}

/// Spaces are `▁`, and words are not split.
fn sentence_piece(normalizer: &Json, pre_tokenizer: &Json, more: &[&str]) -> Json {
    let mut vocab: Vec<String> =
        ["<unk>", "<|pad|>", "<|im_start|>", "<|im_end|>", "<|end|>"].map(str::to_owned).into();
    vocab.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    vocab.extend(
        ('!'..='~')
            .map(String::from)
            .chain(["▁", "▁▁", "▁▁▁▁", "th", "▁th", "▁the", "he", "wo", "▁w", "▁wo", "ll"].map(str::to_owned)),
    );
    vocab.extend(more.iter().map(|token| (*token).to_owned()));
    let merges =
        ["▁ ▁", "▁▁ ▁▁", "t h", "▁ th", "▁th e", "h e", "w o", "▁ w", "▁w o", "l l"].map(str::to_owned).to_vec();
    let merges: Vec<String> =
        merges.into_iter().chain(more.iter().map(|token| format!("{} ▁", token.trim_end_matches('▁')))).collect();
    let ids: serde_json::Map<String, Json> =
        vocab.into_iter().enumerate().map(|(id, token)| (token, json!(id))).collect();
    let mut file = tokenizer_json();
    for (at, token) in file["added_tokens"].as_array_mut().unwrap().iter_mut().enumerate() {
        token["id"] = json!(at + 1);
    }
    file["normalizer"] = normalizer.clone();
    file["pre_tokenizer"] = pre_tokenizer.clone();
    file["model"] = json!({"type": "BPE", "vocab": ids, "merges": merges, "byte_fallback": true, "fuse_unk": true, "unk_token": "<unk>"});
    file["decoder"] = Json::Null;
    file
}

#[test]
fn tokenizers_without_words_are_left_where_no_merge_reaches_over() {
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let prepend = json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]});
    let by_space =
        json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
    let metaspace = |scheme: &str, splits: bool| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": splits});
    assert!(check("llama2", &sentence_piece(&prepend, &Json::Null, &[])));
    assert!(check("gemma", &sentence_piece(&replace, &by_space, &[])));
    assert!(check("mistral", &sentence_piece(&Json::Null, &metaspace("first", false), &[])));
    assert!(check("metaspace", &sentence_piece(&Json::Null, &metaspace("always", true), &[])));
    assert!(check("metaspace without prefix", &sentence_piece(&Json::Null, &metaspace("never", true), &["e▁"])));
    assert!(!check("a token over the end of a word", &sentence_piece(&replace, &by_space, &["e▁"])));
}

#[test]
fn what_is_not_known_to_be_cut_is_encoded_whole() {
    let cases = [
        (
            "several words",
            with(&[("pre_tokenizer", in_bytes(&[split(r"\p{L}+(?: \p{L}+)*|\s+|[^\s\p{L}]+", "Isolated")]))]),
        ),
        ("looks back", with(&[("pre_tokenizer", in_bytes(&[split(r"(?<=\s)\p{L}+|\s+|[^\s]", "Isolated")]))])),
        (
            "pattern replaced",
            with(&[("normalizer", json!({"type": "Replace", "pattern": {"Regex": r"e\s"}, "content": "é"}))]),
        ),
        ("strip", with(&[("normalizer", json!({"type": "Strip", "strip_left": true, "strip_right": true}))])),
        (
            "prefix",
            with(&[(
                "pre_tokenizer",
                json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
            )]),
        ),
    ];
    for (name, file) in cases {
        check(name, &file);
    }
    let mut spaced = tokenizer_json();
    spaced["added_tokens"][3]["content"] = json!("the lazy");
    spaced["model"]["vocab"]["the lazy"] = json!(3);
    spaced["model"]["vocab"].as_object_mut().unwrap().shift_remove("<|end|>");
    assert!(!check("an added token of two words", &spaced));
    let mut taking = tokenizer_json();
    taking["added_tokens"][3]["content"] = json!("fox");
    taking["added_tokens"][3]["rstrip"] = json!(true);
    taking["model"]["vocab"]["fox"] = json!(3);
    taking["model"]["vocab"].as_object_mut().unwrap().shift_remove("<|end|>");
    assert!(!check("an added token that takes a space", &taking));
    let mut alone = tokenizer_json();
    alone["added_tokens"][3]["content"] = json!(" lazy");
    alone["added_tokens"][3]["single_word"] = json!(true);
    alone["model"]["vocab"][" lazy"] = json!(3);
    alone["model"]["vocab"].as_object_mut().unwrap().shift_remove("<|end|>");
    assert!(!check("an added token that looks at what is before its space", &alone));
}

#[test]
fn the_tokenizers_of_the_fixtures_agree() {
    let Some(root) = fixtures() else { return };
    for model in fs::read_dir(root.join("models")).unwrap() {
        let path = model.unwrap().path().join("tokenizer.json");
        if path.exists() {
            check(&path.display().to_string(), &read_json(&path));
        }
    }
}

#[test]
fn turns_after_the_last_token_have_empty_ranges() {
    let tokenizer = crate::common::small(crate::common::CHATML);
    let words = "many more words ".repeat(4000);
    let turns = |text: &str| json!([{"role": "user", "content": text}, {"role": "assistant", "content": text}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
    let row = json!({"messages": turns(&words)});
    let options = tunesmith_text::ConversationOptions::default();
    let encode = |max_tokens| {
        tokenizer
            .encode_conversations(
                std::slice::from_ref(&row),
                tunesmith_text::ConversationOptions { max_tokens, ..options },
                1,
            )
            .remove(0)
            .unwrap()
    };
    let whole = encode(None);
    let [first, second] = whole.spans[..] else { panic!("{:?}", whole.spans) };
    let within = first.0 as usize + 10;
    for (most, spans) in [(5, [(5, 5); 2]), (within, [(first.0, within as u32), (within as u32, within as u32)])] {
        let start = encode(Some(most));
        assert!(whole.ids.starts_with(&start.ids) && start.ids.len() == most);
        assert_eq!((start.spans, &start.turns), (spans.to_vec(), &whole.turns));
    }
    assert_eq!(encode(Some(whole.ids.len() + 1)).spans, [first, second]);
}
