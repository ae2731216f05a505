//! The tokenizer that a GGUF file carries in its metadata, turned into the form of a `tokenizer.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::error::{Result, TextError};
use crate::special_tokens::Settings;

const PLACE: &str = "GGUF tokenizer";
/// `tokenizer.ggml.token_type` of control tokens (`<|im_end|>`): matched in text, left out of decoded text.
const CONTROL: i32 = 3;
/// `tokenizer.ggml.token_type` of user-defined tokens: matched in text, kept in decoded text.
const USER_DEFINED: i32 = 4;

/// The splitting pattern of GPT-4 style tokenizers, with the number of digits that stay together left open.
const LLAMA3_DIGITS: &str = "{1,3}";

/// The `tokenizer.*` metadata of a GGUF file.
#[derive(Debug, Clone, Default)]
pub struct GgufTokenizer {
    /// `tokenizer.ggml.model`. Supported: `gpt2` (byte-level BPE).
    pub model: String,
    /// `tokenizer.ggml.pre`, which names the splitting pattern. Absent means `default`.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`, by id.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.token_type`, by id; empty means all normal.
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.merges`: two tokens with a space between.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos_token_id: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos_token_id: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unk_token_id: Option<u32>,
    /// `tokenizer.ggml.padding_token_id`.
    pub pad_token_id: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`. Absent means what llama.cpp assumes: true for `llama-bpe`, else false.
    pub add_bos: Option<bool>,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
}

impl GgufTokenizer {
    /// The same tokenizer as `tokenizer.json` and the settings beside it.
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` for a model or pattern that is not supported, or an id outside the vocabulary.
    pub(crate) fn convert(self) -> Result<(Json, Settings)> {
        if self.model != "gpt2" {
            return Err(unsupported("tokenizer.ggml.model `gpt2` (byte-level BPE)", &self.model));
        }
        let settings =
            Settings { named: self.named()?, model_max_length: None, chat_template: self.chat_template.clone() };
        let pre = self.pre.as_deref().unwrap_or("default");
        let scheme = Scheme::of(pre)?;
        let add_bos = self.add_bos.unwrap_or(scheme.adds_bos);
        let post_processor = match (add_bos, self.bos_token_id, settings.named.get("bos_token")) {
            (true, Some(id), Some(token)) => bos_processor(id, token),
            _ => Json::Null,
        };
        let added_tokens = self.added_tokens();
        let vocab: Map<String, Json> =
            self.tokens.into_iter().enumerate().map(|(id, token)| (token, Json::from(id))).collect();
        let file = json!({
            "version": "1.0",
            "added_tokens": added_tokens,
            "normalizer": scheme.normalizer,
            "pre_tokenizer": scheme.pre_tokenizer,
            "post_processor": post_processor,
            "decoder": byte_level(true),
            "model": {"type": "BPE", "vocab": vocab, "merges": self.merges, "ignore_merges": scheme.ignore_merges},
        });
        Ok((file, settings))
    }

    fn added_tokens(&self) -> Vec<Json> {
        let typed = self.tokens.iter().zip(&self.token_types).enumerate();
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

    fn named(&self) -> Result<BTreeMap<String, String>> {
        let ids = [
            ("bos_token", self.bos_token_id),
            ("eos_token", self.eos_token_id),
            ("unk_token", self.unk_token_id),
            ("pad_token", self.pad_token_id),
        ];
        let mut named = BTreeMap::new();
        for (name, id) in ids {
            let Some(id) = id else { continue };
            let token = self.tokens.get(id as usize).ok_or_else(|| {
                TextError::tokenizer(
                    PLACE,
                    &format!("expected {name} below {} tokens, got {id}; fetch the file again", self.tokens.len()),
                )
            })?;
            named.insert(name.to_owned(), token.clone());
        }
        Ok(named)
    }
}

fn unsupported(expected: &str, got: &str) -> TextError {
    TextError::tokenizer(
        PLACE,
        &format!("expected {expected}, got `{got}`; use the model's Hugging Face folder instead"),
    )
}

/// How text is split before merging.
struct Scheme {
    normalizer: Json,
    pre_tokenizer: Json,
    ignore_merges: bool,
    adds_bos: bool,
}

impl Scheme {
    /// The scheme that llama.cpp's `pre` names; patterns as the models' own tokenizer.json files give them.
    fn of(pre: &str) -> Result<Self> {
        let plain =
            |pre_tokenizer| Self { normalizer: Json::Null, pre_tokenizer, ignore_merges: false, adds_bos: false };
        Ok(match pre {
            "gpt-2" | "gpt2" | "mpt" | "olmo" | "jais" => plain(byte_level(true)),
            "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => {
                plain(sequence(&[json!({"type": "Digits", "individual_digits": true}), byte_level(true)]))
            }
            "llama-bpe" | "llama3" | "llama-v3" => {
                let pre_tokenizer = sequence(&[split(&words_and_digits(LLAMA3_DIGITS)), byte_level(false)]);
                Self { ignore_merges: true, adds_bos: true, ..plain(pre_tokenizer) }
            }
            "qwen2" | "deepseek-r1-qwen" | "stablelm2" => {
                let pre_tokenizer = sequence(&[split(&words_and_digits("")), byte_level(false)]);
                Self { normalizer: json!({"type": "NFC"}), ..plain(pre_tokenizer) }
            }
            // Punctuation apart, then words as GPT-2, then digits in groups of three.
            "default" => plain(sequence(&[
                split(r"[\p{P}\$\+<=>\^~\|]+"),
                split(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"),
                split(r"\p{N}+"),
                split("[0-9][0-9][0-9]"),
                byte_level(false),
            ])),
            other => {
                return Err(unsupported(
                    "tokenizer.ggml.pre to be one of gpt-2, smollm, starcoder, llama-bpe, qwen2, default",
                    other,
                ));
            }
        })
    }
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
