//! The tokenizer inside a GGUF file, as plain data.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tunesmith_ops::{Code, Error, Result};

use super::metadata::Metadata;
use super::writer::KeyWriter;

/// `tokenizer.ggml.token_type` of tokens that merging makes.
const NORMAL: i32 = 1;
/// `tokenizer.ggml.token_type` of ids without a token.
const UNUSED: i32 = 5;

/// The `tokenizer.*` keys of a GGUF file, unchanged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GgufTokenizer {
    /// `tokenizer.ggml.model`: `gpt2` is byte-level BPE, `llama` is SentencePiece.
    pub model: String,
    /// `tokenizer.ggml.pre`: name of the splitting pattern, such as `smollm` or `llama-bpe`. Absent means `default`.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`: the vocabulary, by id.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.token_type`, by id: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. Empty means all
    /// normal.
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.scores`, by id: `llama` only, where the higher score is merged first.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.merges`, in order of rank: two tokens with a space between; `gpt2` only.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.bos_token_id`: beginning of text.
    pub bos_token_id: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`: end of text.
    pub eos_token_id: Option<u32>,
    /// `tokenizer.ggml.eot_token_id`: end of turn, where it differs from the end of text.
    pub eot_token_id: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unk_token_id: Option<u32>,
    /// `tokenizer.ggml.padding_token_id`.
    pub pad_token_id: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`: a text begins with the beginning-of-text token. Absent means what llama.cpp assumes: true
    /// for `llama-bpe`, else false.
    pub add_bos_token: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`: a space is put before a text; `llama` only. Absent means true.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.chat_template`: Jinja template of conversations.
    pub chat_template: Option<String>,
    /// `tokenizer.chat_template.tool_use`: the template of conversations with tools, where it is another one.
    pub tool_use_template: Option<String>,
}

impl GgufTokenizer {
    /// Decodes the keys; `bytes` are those of the whole file.
    ///
    /// # Errors
    /// `FileInvalid` names a key of another type, and merges that are missing.
    pub(super) fn read(metadata: &Metadata, bytes: &[u8]) -> Result<Self> {
        let text = |key: &str| Ok(metadata.text(key)?.map(str::to_owned));
        let this = Self {
            model: text("tokenizer.ggml.model")?.unwrap_or_default(),
            pre: text("tokenizer.ggml.pre")?,
            tokens: metadata.strings("tokenizer.ggml.tokens", bytes)?.unwrap_or_default(),
            token_types: metadata.integers("tokenizer.ggml.token_type", bytes)?.unwrap_or_default(),
            scores: metadata.floats("tokenizer.ggml.scores", bytes)?.unwrap_or_default(),
            merges: metadata.strings("tokenizer.ggml.merges", bytes)?.unwrap_or_default(),
            bos_token_id: token_id(metadata, "bos")?,
            eos_token_id: token_id(metadata, "eos")?,
            eot_token_id: token_id(metadata, "eot")?,
            unk_token_id: token_id(metadata, "unknown")?,
            pad_token_id: token_id(metadata, "padding")?,
            add_bos_token: metadata.flag("tokenizer.ggml.add_bos_token")?,
            add_space_prefix: metadata.flag("tokenizer.ggml.add_space_prefix")?,
            chat_template: text("tokenizer.chat_template")?,
            tool_use_template: text("tokenizer.chat_template.tool_use")?,
        };
        if this.lacks_merges() {
            return Err(metadata.refuse(
                "expected the merges of byte-level BPE in `tokenizer.ggml.merges`, got none; \
                 convert the model again, or use its Hugging Face folder",
            ));
        }
        Ok(this)
    }

    /// Without merges byte-level BPE never makes a token of more than one byte, though the vocabulary has such.
    fn lacks_merges(&self) -> bool {
        let is_normal = |id: usize| self.token_types.get(id).is_none_or(|kind| *kind == NORMAL);
        let merged = |(id, token): (usize, &String)| is_normal(id) && token.chars().nth(1).is_some();
        self.model == "gpt2" && self.merges.is_empty() && self.tokens.iter().enumerate().any(merged)
    }

    /// What the user should know: without the name of the splitting pattern, texts may become other tokens than those the model
    /// was trained with.
    pub(crate) fn doubt(&self, path: &Path) -> Option<String> {
        (self.model == "gpt2" && self.pre.is_none()).then(|| {
            format!(
                "{}: `tokenizer.ggml.pre` does not name the pre-tokenizer, so the default one splits texts, and tokens may be \
                 others than in the model's training; convert the model again, or use its Hugging Face folder",
                path.display()
            )
        })
    }

    /// Writes the keys, with a placeholder for each of the model's `rows` that has no token, since llama.cpp wants as many
    /// tokens as the embedding has rows.
    ///
    /// # Errors
    /// `ModelUnsupported` where there are more tokens than rows.
    pub(super) fn write(&self, keys: &mut KeyWriter, rows: usize) -> Result<()> {
        if self.tokens.len() > rows {
            return Err(Error::new(
                Code::ModelUnsupported,
                "tokenizer",
                format!(
                    "expected at most {rows} tokens, as many as the embedding has rows, got {}; resize the embedding",
                    self.tokens.len()
                ),
            ));
        }
        let mut tokens = self.tokens.clone();
        tokens.extend((tokens.len()..rows).map(|id| format!("[PAD{id}]")));
        let mut types = self.token_types.clone();
        types.resize(rows, UNUSED);
        keys.text("tokenizer.ggml.model", &self.model);
        keys.text("tokenizer.ggml.pre", self.pre.as_deref().unwrap_or("default"));
        keys.texts("tokenizer.ggml.tokens", &tokens);
        keys.i32s("tokenizer.ggml.token_type", &types);
        if !self.scores.is_empty() {
            let mut scores = self.scores.clone();
            scores.resize(rows, 0.0);
            keys.f32s("tokenizer.ggml.scores", &scores);
        }
        if !self.merges.is_empty() {
            keys.texts("tokenizer.ggml.merges", &self.merges);
        }
        let ids = [
            ("bos", self.bos_token_id),
            ("eos", self.eos_token_id),
            ("eot", self.eot_token_id),
            ("unknown", self.unk_token_id),
            ("padding", self.pad_token_id),
        ];
        for (name, id) in ids {
            if let Some(id) = id {
                keys.u32(&format!("tokenizer.ggml.{name}_token_id"), id);
            }
        }
        for (name, flag) in [("add_bos_token", self.add_bos_token), ("add_space_prefix", self.add_space_prefix)] {
            if let Some(flag) = flag {
                keys.flag(&format!("tokenizer.ggml.{name}"), flag);
            }
        }
        if let Some(template) = &self.chat_template {
            keys.text("tokenizer.chat_template", template);
        }
        if let Some(template) = &self.tool_use_template {
            keys.text("tokenizer.chat_template.tool_use", template);
            keys.texts("tokenizer.chat_templates", &["tool_use".to_owned()]);
        }
        Ok(())
    }
}

/// The id of a special token; 4294967295 is how converters write none.
pub(super) fn token_id(metadata: &Metadata, name: &str) -> Result<Option<u32>> {
    let id = metadata.integer(&format!("tokenizer.ggml.{name}_token_id"))?;
    Ok(id.and_then(|id| u32::try_from(id).ok()).filter(|&id| id != u32::MAX))
}
