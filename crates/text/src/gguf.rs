//! The tokenizer that a GGUF file carries in its metadata, turned into the form of a `tokenizer.json`.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json, json};
use tunesmith_formats::GgufTokenizer;

use crate::error::{Result, TextError};
use crate::named_templates;
use crate::special_tokens::Settings;

const PLACE: &str = "GGUF tokenizer";
/// `tokenizer.ggml.token_type` of control tokens (`<|im_end|>`): matched in text, left out of decoded text.
const CONTROL: i32 = 3;
/// `tokenizer.ggml.token_type` of user-defined tokens: matched in text, kept in decoded text.
const USER_DEFINED: i32 = 4;

/// How SentencePiece writes a space.
pub(crate) const SPACE: &str = "▁";

/// Bytes of the longest piece that is looked at for merges; published vocabularies have pieces of at most 100.
const LONGEST_PIECE: usize = 1024;

/// The splitting pattern of GPT-4 style tokenizers, with the number of digits that stay together left open.
const LLAMA3_DIGITS: &str = "{1,3}";

/// A GGUF file's tokenizer as `tokenizer.json` and the settings beside it.
///
/// # Errors
/// `TOKENIZER_INVALID` for a model or pattern that is not supported, or an id outside the vocabulary.
pub(crate) fn convert(gguf: GgufTokenizer) -> Result<(Json, Settings)> {
    let settings =
        Settings { named: named(&gguf)?, model_max_length: None, chat_templates: named_templates::of_gguf(&gguf) };
    let scheme = match gguf.model.as_str() {
        "gpt2" => Scheme::of(gguf.pre.as_deref().unwrap_or("default"))?,
        "llama" => Scheme::sentence_piece(gguf.add_space_prefix.unwrap_or(true)),
        other => {
            let known = "tokenizer.ggml.model to be gpt2 (byte-level BPE) or llama (SentencePiece BPE)";
            return Err(unsupported(known, other));
        }
    };
    let add_bos = gguf.add_bos_token.unwrap_or(scheme.adds_bos);
    let post_processor = match (add_bos, gguf.bos_token_id, settings.named.get("bos_token")) {
        (true, Some(id), Some(token)) => bos_processor(id, token),
        _ => Json::Null,
    };
    let added_tokens = added_tokens(&gguf);
    let is_sentence_piece = gguf.model == "llama";
    let merges =
        if is_sentence_piece { merges_of_scores(&gguf.tokens, &gguf.scores).into() } else { Json::from(gguf.merges) };
    let vocab: Map<String, Json> =
        gguf.tokens.into_iter().enumerate().map(|(id, token)| (token, Json::from(id))).collect();
    let model = json!({
        "type": "BPE",
        "ignore_merges": scheme.ignore_merges,
        "merges": merges,
        "byte_fallback": is_sentence_piece,
        "fuse_unk": is_sentence_piece,
        "unk_token": settings.named.get("unk_token").filter(|_| is_sentence_piece),
        "vocab": vocab,
    });
    let file = json!({
        "version": "1.0",
        "added_tokens": added_tokens,
        "normalizer": scheme.normalizer,
        "pre_tokenizer": scheme.pre_tokenizer,
        "post_processor": post_processor,
        "decoder": scheme.decoder,
        "model": model,
    });
    Ok((file, settings))
}

fn added_tokens(gguf: &GgufTokenizer) -> Vec<Json> {
    let typed = gguf.tokens.iter().zip(&gguf.token_types).enumerate();
    typed
        .filter(|(_, (_, kind))| matches!(**kind, CONTROL | USER_DEFINED))
        .map(|(id, (content, kind))| {
            json!({
                "id": id, "content": content, "special": *kind == CONTROL,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            })
        })
        .collect()
}

fn named(gguf: &GgufTokenizer) -> Result<BTreeMap<String, String>> {
    let ids = [
        ("bos_token", gguf.bos_token_id),
        ("eos_token", gguf.eos_token_id),
        ("unk_token", gguf.unk_token_id),
        ("pad_token", gguf.pad_token_id),
    ];
    let mut named = BTreeMap::new();
    for (name, id) in ids {
        let Some(id) = id else { continue };
        let token = gguf.tokens.get(id as usize).ok_or_else(|| {
            TextError::tokenizer(
                PLACE,
                &format!("expected {name} below {} tokens, got {id}; fetch the file again", gguf.tokens.len()),
            )
        })?;
        named.insert(name.to_owned(), token.clone());
    }
    Ok(named)
}

fn unsupported(expected: &str, got: &str) -> TextError {
    TextError::tokenizer(
        PLACE,
        &format!("expected {expected}, got `{got}`; use the model's Hugging Face folder instead"),
    )
}

/// SentencePiece merges whichever two neighbours make the piece of the highest score: the same as a list of all such pairs in
/// the order of their pieces' scores (transformers, `convert_slow_tokenizer.py`).
fn merges_of_scores(tokens: &[String], scores: &[f32]) -> Vec<Json> {
    let known: HashMap<&str, usize> = tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
    let score = |id: usize| scores.get(id).copied().unwrap_or(f32::NEG_INFINITY);
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    let mut merges = Vec::new();
    for token in order.into_iter().filter_map(|id| tokens.get(id)).filter(|token| token.len() <= LONGEST_PIECE) {
        let splits = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        let mut pairs: Vec<(usize, usize)> =
            splits.filter_map(|(left, right)| Some((*known.get(left)?, *known.get(right)?))).collect();
        pairs.sort_unstable();
        let texts = |(left, right): (usize, usize)| Some(json!([tokens.get(left)?, tokens.get(right)?]));
        merges.extend(pairs.into_iter().filter_map(texts));
    }
    merges
}

/// How text is split before merging, and put together again.
pub(crate) struct Scheme {
    pub normalizer: Json,
    pub pre_tokenizer: Json,
    pub decoder: Json,
    pub ignore_merges: bool,
    pub adds_bos: bool,
}

impl Scheme {
    /// One name of every group of names below that means one splitting, in the order in which a writer looks for it.
    pub(crate) const NAMES: [&str; 8] =
        ["gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "gpt-4o", "tekken", "default"];

    /// The scheme that llama.cpp's `pre` names; patterns as the models' own tokenizer.json files give them.
    pub(crate) fn of(pre: &str) -> Result<Self> {
        let plain = |pre_tokenizer| Self {
            normalizer: Json::Null,
            pre_tokenizer,
            decoder: byte_level(true),
            ignore_merges: false,
            adds_bos: false,
        };
        let pattern = |pattern: &str| plain(sequence(&[split(pattern), byte_level(false)]));
        Ok(match pre {
            "gpt-2" | "gpt2" | "mpt" | "olmo" | "jais" | "phi-2" => plain(byte_level(true)),
            "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => {
                plain(sequence(&[json!({"type": "Digits", "individual_digits": true}), byte_level(true)]))
            }
            "llama-bpe" | "llama3" | "llama-v3" => {
                Self { ignore_merges: true, adds_bos: true, ..pattern(&words_and_digits(LLAMA3_DIGITS)) }
            }
            "dbrx" | "smaug-bpe" => pattern(&words_and_digits(LLAMA3_DIGITS)),
            "qwen2" | "deepseek-r1-qwen" | "stablelm2" => {
                Self { normalizer: json!({"type": "NFC"}), ..pattern(&words_and_digits("")) }
            }
            "gpt-4o" | "llama4" => pattern(&cased_words("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", LLAMA3_DIGITS)),
            "tekken" => Self { ignore_merges: true, adds_bos: true, ..pattern(&cased_words("", "")) },
            // Punctuation apart, then words as GPT-2, then digits in groups of three.
            "default" => plain(sequence(&[
                split(r"[\p{P}\$\+<=>\^~\|]+"),
                split(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"),
                split(r"\p{N}+"),
                split("[0-9][0-9][0-9]"),
                byte_level(false),
            ])),
            other => {
                let known = format!("tokenizer.ggml.pre to be one of {}", Self::NAMES.join(", "));
                return Err(unsupported(&known, other));
            }
        })
    }

    /// SentencePiece: spaces become `▁`, one is put in front where the model wants it, and nothing is split.
    fn sentence_piece(prefix: bool) -> Self {
        let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
        let mut normalizers = vec![replace(" ", SPACE)];
        let mut decoders = vec![replace(SPACE, " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
        if prefix {
            normalizers.insert(0, json!({"type": "Prepend", "prepend": SPACE}));
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        Self {
            normalizer: json!({"type": "Sequence", "normalizers": normalizers}),
            pre_tokenizer: Json::Null,
            decoder: json!({"type": "Sequence", "decoders": decoders}),
            ignore_merges: false,
            adds_bos: true,
        }
    }
}

/// o200k's and Tekken's pattern: words end where a capital begins.
fn cased_words(contractions: &str, digits: &str) -> String {
    let (upper, lower) = (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]");
    let start = r"[^\r\n\p{L}\p{N}]?";
    let rest = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    format!(r"{start}{upper}*{lower}+{contractions}|{start}{upper}+{lower}*{contractions}|\p{{N}}{digits}|{rest}")
}

fn words_and_digits(digits: &str) -> String {
    let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+";
    let rest = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    format!(r"{words}|\p{{N}}{digits}|{rest}")
}

fn byte_level(use_regex: bool) -> Json {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn split(pattern: &str) -> Json {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

fn sequence(pretokenizers: &[Json]) -> Json {
    json!({"type": "Sequence", "pretokenizers": pretokenizers})
}

fn bos_processor(id: u32, token: &str) -> Json {
    let bos = json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = |name: &str, type_id: u32| json!({"Sequence": {"id": name, "type_id": type_id}});
    json!({
        "type": "TemplateProcessing",
        "single": [bos, text("A", 0)],
        "pair": [bos, text("A", 0), bos, text("B", 1)],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    })
}
