//! What `tokenizer_config.json` and `special_tokens_map.json` say: named special tokens, length limit, chat templates.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use crate::error::{Result, TextError};
use crate::named_templates::{self, Sources};
use crate::read::read_text;

const NAMES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The settings beside a `tokenizer.json`.
#[derive(Default)]
pub(crate) struct Settings {
    /// Named tokens that exist: `bos_token` → its text. Chat templates see them under these names.
    pub named: BTreeMap<String, String>,
    /// Longest input the model was made for, in tokens; none where the file has the usual "very large" value.
    pub model_max_length: Option<usize>,
    /// Sources of the chat templates by name.
    pub chat_templates: Sources,
}

impl Settings {
    /// Reads the folder's files; all of them are optional.
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` when a file exists and is not JSON.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let config = read_json(&dir.join("tokenizer_config.json"))?.unwrap_or_default();
        let map = read_json(&dir.join("special_tokens_map.json"))?.unwrap_or_default();
        let named = NAMES.iter().filter_map(|name| {
            let content = [&config, &map].into_iter().find_map(|file| token_content(file.get(name)?))?;
            Some(((*name).to_owned(), content.to_owned()))
        });
        Ok(Self {
            named: named.collect(),
            model_max_length: config
                .get("model_max_length")
                .and_then(Json::as_u64)
                .filter(|&length| length < 1 << 40)
                .map(|length| length as usize),
            chat_templates: named_templates::of_folder(dir, config.get("chat_template").unwrap_or(&Json::Null))?,
        })
    }
}

/// A token is its text, or an object with `content`.
fn token_content(token: &Json) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

fn read_json(path: &Path) -> Result<Option<Json>> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|error| {
        TextError::tokenizer(
            &path.display().to_string(),
            &format!("expected JSON, got a syntax error ({error}); fetch the file again"),
        )
    })
}
