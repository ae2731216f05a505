//! A tokenizer as the metadata of a GGUF file: the way back from `gguf.rs`. Splitting patterns are recognised by what they
//! are, and a tokenizer that llama.cpp would split otherwise is refused.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use tunesmith_formats::GgufTokenizer;

use crate::error::{Result, TextError};
use crate::generation_tags::without_tags;
use crate::gguf::{SPACE, Scheme};
use crate::named_templates::{DEFAULT, TOOL_USE};
use crate::tokenizer::Tokenizer;

const PLACE: &str = "GGUF tokenizer";
/// `tokenizer.ggml.token_type`.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

impl Tokenizer {
    /// The metadata for a model whose generations end with any of `end_ids`. Generation tags of the chat template become plain
    /// conditions, since llama.cpp does not know them.
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` for a tokenizer that is not BPE or splits text in a way llama.cpp has no name for.
    pub fn to_gguf(&self, end_ids: &[u32]) -> Result<GgufTokenizer> {
        let text = self.inner.to_string(false).map_err(|error| refuse("a tokenizer that can be saved", &error))?;
        let file: Json = serde_json::from_str(&text).map_err(|error| refuse("a tokenizer as JSON", &error))?;
        let model = file.get("model").unwrap_or(&Json::Null);
        if model["type"] != "BPE" {
            return Err(refuse("a BPE tokenizer", &model["type"]));
        }
        let info = self.info();
        let id = |token: &Option<crate::SpecialToken>| token.as_ref().and_then(|token| u32::try_from(token.id).ok());
        let (eos, unk) = (id(&info.eos), id(&info.unk));
        let tokens = tokens(&file)?;
        let is_sentence_piece = is_sentence_piece(&file);
        let mut gguf = GgufTokenizer {
            token_types: token_types(&file, &tokens, unk, is_sentence_piece),
            tokens,
            bos_token_id: id(&info.bos),
            eos_token_id: eos,
            eot_token_id: end_ids.iter().copied().find(|&end| eos.is_some_and(|eos| eos != end)),
            unk_token_id: unk,
            pad_token_id: id(&info.pad),
            add_bos_token: Some(info.add_bos),
            chat_template: self.template_source(DEFAULT).map(without_tags),
            tool_use_template: self.template_source(TOOL_USE).map(without_tags),
            ..GgufTokenizer::default()
        };
        let merges = merges(model)?;
        if is_sentence_piece {
            "llama".clone_into(&mut gguf.model);
            gguf.pre = Some("default".to_owned());
            gguf.add_space_prefix = Some(has_prefix(&file));
            gguf.scores = scores(&gguf.tokens, &merges);
        } else {
            "gpt2".clone_into(&mut gguf.model);
            gguf.pre = Some(pre_of(&file)?.to_owned());
            gguf.merges = merges.into_iter().map(|(left, right)| format!("{left} {right}")).collect();
        }
        Ok(gguf)
    }
}

fn refuse(expected: &str, got: &dyn std::fmt::Display) -> TextError {
    TextError::tokenizer(PLACE, &format!("expected {expected}, got {got}; keep the model as safetensors"))
}

/// Every token by its id. An id that is skipped gets a placeholder.
fn tokens(file: &Json) -> Result<Vec<String>> {
    let vocabulary = file.pointer("/model/vocab").and_then(Json::as_object).into_iter().flatten();
    let vocabulary = vocabulary.map(|(token, id)| (token.as_str(), id.as_u64()));
    let added =
        list(&file["added_tokens"]).map(|token| (token["content"].as_str().unwrap_or_default(), token["id"].as_u64()));
    let mut tokens: Vec<Option<String>> = Vec::new();
    for (token, id) in vocabulary.chain(added) {
        // No vocabulary has as many as a hundred million tokens.
        let id = id.and_then(|id| usize::try_from(id).ok()).filter(|&id| id < 100_000_000);
        let id = id.ok_or_else(|| refuse("token ids", &token))?;
        if tokens.len() <= id {
            tokens.resize(id.saturating_add(1), None);
        }
        tokens.get_mut(id).into_iter().for_each(|place| *place = Some(token.to_owned()));
    }
    Ok(tokens.into_iter().enumerate().map(|(id, token)| token.unwrap_or_else(|| format!("[PAD{id}]"))).collect())
}

fn token_types(file: &Json, tokens: &[String], unk: Option<u32>, is_sentence_piece: bool) -> Vec<i32> {
    let known = file.pointer("/model/vocab").unwrap_or(&Json::Null);
    let kind = |(id, token): (usize, &String)| match token {
        _ if is_sentence_piece && unk == u32::try_from(id).ok() => UNKNOWN,
        token if is_sentence_piece && is_byte(token) => BYTE,
        token if known.get(token).is_none() => UNUSED,
        _ => NORMAL,
    };
    let mut types: Vec<i32> = tokens.iter().enumerate().map(kind).collect();
    for token in list(&file["added_tokens"]) {
        let place = token["id"].as_u64().and_then(|id| types.get_mut(usize::try_from(id).ok()?));
        if let Some(kind) = place.filter(|kind| **kind != UNKNOWN) {
            *kind = if token["special"] == true { CONTROL } else { USER_DEFINED };
        }
    }
    types
}

/// `<0x0A>`.
fn is_byte(token: &str) -> bool {
    token.len() == 6 && token.starts_with("<0x") && token.ends_with('>')
}

fn merges(model: &Json) -> Result<Vec<(String, String)>> {
    let pair = |merge: &Json| match merge {
        Json::String(text) => text.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned())),
        Json::Array(parts) => match parts.as_slice() {
            [left, right] => Some((left.as_str()?.to_owned(), right.as_str()?.to_owned())),
            _ => None,
        },
        _ => None,
    };
    list(&model["merges"]).map(|merge| pair(merge).ok_or_else(|| refuse("merges of two tokens", merge))).collect()
}

/// Scores under which SentencePiece's rule gives the merges in their order: the earlier a token can be made, the higher.
fn scores(tokens: &[String], merges: &[(String, String)]) -> Vec<f32> {
    let mut first = HashMap::new();
    for (left, right) in merges {
        let rank = first.len();
        first.entry(format!("{left}{right}")).or_insert(rank);
    }
    tokens.iter().map(|token| first.get(token).map_or(0.0, |&rank| -(rank as f32))).collect()
}

/// Whether spaces are written as `▁` and unknown characters as bytes.
fn is_sentence_piece(file: &Json) -> bool {
    file.pointer("/model/byte_fallback") == Some(&Json::Bool(true))
        && (steps(&file["normalizer"], "normalizers").any(|step| step["type"] == "Replace" && step["content"] == SPACE)
            || steps(&file["pre_tokenizer"], "pretokenizers").any(|step| step["type"] == "Metaspace"))
}

fn has_prefix(file: &Json) -> bool {
    steps(&file["normalizer"], "normalizers").any(|step| step["type"] == "Prepend")
        || steps(&file["pre_tokenizer"], "pretokenizers")
            .any(|step| step["type"] == "Metaspace" && step["prepend_scheme"] != "never")
}

/// llama.cpp's name of the splitting.
fn pre_of(file: &Json) -> Result<&'static str> {
    let splitting = canonical(&file["pre_tokenizer"]);
    let normalizer = &file["normalizer"];
    let ignore_merges = file.pointer("/model/ignore_merges") == Some(&Json::Bool(true));
    // llama.cpp does not normalise; what NFC changes is rare enough that its own converter lets it pass.
    let normalizes = !normalizer.is_null() && normalizer["type"] != "NFC";
    let fits = |name: &&&str| {
        Scheme::of(name)
            .is_ok_and(|scheme| canonical(&scheme.pre_tokenizer) == splitting && scheme.ignore_merges == ignore_merges)
    };
    match Scheme::NAMES.iter().find(fits).filter(|_| !normalizes) {
        Some(name) => Ok(name),
        None => Err(refuse(
            &format!("a splitting of text that llama.cpp knows ({})", Scheme::NAMES.join(", ")),
            &format!("{} after the normalizer {normalizer}", file["pre_tokenizer"]),
        )),
    }
}

/// The steps of a splitting, without what changes no token.
fn canonical(pre_tokenizer: &Json) -> Vec<Json> {
    let step = |step: &Json| match step["type"].as_str() {
        Some("ByteLevel") => {
            json!({"type": "ByteLevel", "prefix": step["add_prefix_space"], "regex": step["use_regex"] != false})
        }
        // A pattern that covers all text isolates its matches whichever way it is written.
        Some("Split")
            if step["behavior"] == "Isolated" || (step["behavior"] == "Removed" && step["invert"] == true) =>
        {
            json!({"type": "Split", "pattern": step["pattern"]})
        }
        _ => step.clone(),
    };
    steps(pre_tokenizer, "pretokenizers").map(step).collect()
}

/// The steps of a sequence, or the single step where there is no sequence.
fn steps<'a>(value: &'a Json, key: &str) -> Box<dyn Iterator<Item = &'a Json> + 'a> {
    match &value[key] {
        Json::Array(steps) => Box::new(steps.iter()),
        _ if value.is_null() => Box::new(std::iter::empty()),
        _ => Box::new(std::iter::once(value)),
    }
}

fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}
