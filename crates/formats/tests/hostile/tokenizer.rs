//! `tokenizer.json`: our checks, then the tokenizers crate, whose panics become errors.

use std::fs;
use std::path::Path;

use serde_json::json;
use tunesmith_ops::Code;
use tunesmith_text::{TextError, Tokenizer};

use super::campaign::{campaign, checked};
use super::corpus::check;
use super::json::{self, Node, Words};
use super::random::Random;
use super::tokenizer_attacks::attacks;

const WORDS: Words = Words {
    keys: &[
        "type",
        "model",
        "vocab",
        "merges",
        "added_tokens",
        "normalizer",
        "pre_tokenizer",
        "post_processor",
        "decoder",
        "truncation",
        "padding",
        "unk_token",
        "unk_id",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "byte_fallback",
        "ignore_merges",
        "fuse_unk",
        "dropout",
        "max_input_chars_per_word",
        "pattern",
        "content",
        "String",
        "Regex",
        "behavior",
        "invert",
        "prepend",
        "replacement",
        "prepend_scheme",
        "split",
        "normalizers",
        "pretokenizers",
        "processors",
        "decoders",
        "id",
        "special",
        "lstrip",
        "rstrip",
        "normalized",
        "single_word",
        "prefix",
        "suffix",
        "cleanup",
        "sep",
        "cls",
        "single",
        "pair",
        "special_tokens",
        "ids",
        "tokens",
        "start",
        "stop",
        "add_prefix_space",
        "trim_offsets",
        "use_regex",
        "precompiled_charsmap",
        "length",
        "a",
        "b",
        "ab",
    ],
    values: &[
        "\"BPE\"",
        "\"Unigram\"",
        "\"WordPiece\"",
        "\"WordLevel\"",
        "\"ByteLevel\"",
        "\"Sequence\"",
        "\"Split\"",
        "\"Metaspace\"",
        "\"Replace\"",
        "\"Strip\"",
        "\"Prepend\"",
        "\"NFC\"",
        "\"Lowercase\"",
        "\"Precompiled\"",
        "\"Digits\"",
        "\"Punctuation\"",
        "\"FixedLength\"",
        "\"CharDelimiterSplit\"",
        "\"TemplateProcessing\"",
        "\"ByteFallback\"",
        "\"Fuse\"",
        "\"CTC\"",
        "\"Removed\"",
        "\"Isolated\"",
        "\"MergedWithNext\"",
        "\"Contiguous\"",
        "\"Left\"",
        "\"first\"",
        "\"##\"",
        "\"a b\"",
        "\"ab ab\"",
        "\"(a*)*b\"",
        "\"(\"",
        "\"\\\\p{L}+\"",
        "[\"a\",\"b\"]",
        "[\"a\",0.0]",
        "{\"String\":\"\"}",
        "{\"Regex\":\"(a|aa)+$\"}",
        "4294967295",
        "4294967294",
        "2147483647",
        "-1",
        "0",
        "1",
        "0.5",
        "1.5",
        "true",
        "null",
    ],
};

/// One small tokenizer of every kind of model, with every kind of step around it.
fn seeds() -> Vec<Node> {
    let added = json!([{"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}]);
    let bpe = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4, "abab": 5}, "merges": [["a", "b"], ["ab", "ab"]]},
    });
    let unigram = json!({
        "version": "1.0", "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}, {"type": "Digits", "individual_digits": true}]},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "Unigram", "unk_id": 1, "byte_fallback": true, "vocab": [["<s>", 0.0], ["<unk>", 0.0], ["▁a", -2.0], ["b", -3.0], ["<0xC3>", -5.0]]},
    });
    let word_piece = json!({
        "version": "1.0", "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["<s>", 0], "cls": ["<s>", 0]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"<s>": 0, "[UNK]": 1, "a": 2, "##b": 3}},
    });
    let word_level = json!({
        "added_tokens": [], "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Removed", "invert": false},
        "normalizer": {"type": "Lowercase"}, "padding": {"strategy": {"Fixed": 4}, "direction": "Left", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"},
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "a": 1, "ab": 2}},
    });
    [bpe, unigram, word_piece, word_level].iter().map(Node::from_value).collect()
}

/// Loads the tokenizer of a folder and uses it in every way.
fn exercise(dir: &Path) -> Result<(), TextError> {
    let tokenizer = Tokenizer::from_dir(dir)?;
    let ids = tokenizer.encode("ab <s>é\n\n 42 aab", true)?;
    tokenizer.decode(&ids, true)?;
    // Needs an end of sequence, which not every file has.
    let _ = tokenizer.encode_pair("ab ", "a");
    tokenizer.encode_with_offsets("", false)?;
    Ok(())
}

/// The same, answering with a code; every refusal names its place.
fn read(dir: &Path) -> Result<(), Code> {
    exercise(dir).map_err(|error| {
        assert!(error.message.starts_with('['), "{error}");
        assert_eq!(error.code, "TOKENIZER_INVALID", "{error}");
        Code::FileInvalid
    })
}

#[test]
fn mutations() {
    let (dir, seeds) = (tempfile::tempdir().unwrap(), seeds());
    let path = dir.path().join("tokenizer.json");
    for seed in &seeds {
        fs::write(&path, seed.text()).unwrap();
        exercise(dir.path()).unwrap();
    }
    let make = |random: &mut Random| {
        let seed = random.below(seeds.len());
        json::mutated(random, &seeds[seed], &WORDS)
    };
    campaign("tokenizer", &path, make, |_| read(dir.path()).is_ok());
}

#[test]
fn made_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    check("tokenizer", &attacks(), |bytes| {
        fs::write(dir.path().join("tokenizer.json"), bytes).unwrap();
        read(dir.path())
    });
}

/// A file far longer than any tokenizer is refused before it is read.
#[test]
fn a_file_of_a_gigabyte() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create(dir.path().join("tokenizer.json")).unwrap();
    file.set_len(1 << 30).unwrap();
    assert_eq!(checked(&[], || read(dir.path())).unwrap(), Err(Code::FileInvalid));
}
