//! The files beside the weights: copied next to a trained model or adapter, so that its folder loads by itself.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tunesmith_engine as engine;
use tunesmith_formats::{ModelFiles, NewToken, TokenizerSource, read_limited, write_atomic};
use tunesmith_ops::{Code, Error};
use tunesmith_text as text;

use crate::error::Outcome;
use crate::tokenizer;

/// The tokenizer itself.
const FILE: &str = "tokenizer.json";

/// Files of a Hugging Face folder that describe text. Each is copied where it exists.
const TOKENIZER: [&str; 4] = [FILE, CONFIG, TOKENS, TEMPLATE];

/// The tokenizer's configuration.
const CONFIG: &str = "tokenizer_config.json";

/// The named tokens, in folders that older versions of transformers wrote.
const TOKENS: &str = "special_tokens_map.json";

/// The chat template.
const TEMPLATE: &str = "chat_template.jinja";

/// Folder of chat templates beside the default one.
const TEMPLATES: &str = "additional_chat_templates";

/// How a model generates; nothing of an adapter.
const GENERATION: &str = "generation_config.json";

/// Copies what belongs with a whole model.
///
/// # Errors
/// `Io` naming the file.
pub fn copy(files: &ModelFiles, to: &Path) -> Outcome<()> {
    copy_tokenizer(files, to)?;
    let TokenizerSource::Folder(from) = &files.tokenizer else { return Ok(()) };
    copy_file(from, Path::new(GENERATION), to)?;
    // What ends a text beside the new end of sequence still does.
    let Some(new) = files.config.eos_token_ids()?.first().copied().filter(|_| files.eos_token.is_some()) else {
        return Ok(());
    };
    change_json(&to.join(GENERATION), |object| {
        let others = files.eos_token_ids.iter().copied().filter(|id| *id != new);
        let ids: Vec<u32> = std::iter::once(new).chain(others).collect();
        object.insert("eos_token_id".to_owned(), ids.into()).is_some()
    })
}

/// Copies the tokenizer with its chat template; the one inside a GGUF file is written out as such files. A template that is in place of
/// the tokenizer's own is the only one there.
///
/// # Errors
/// `Io` naming the file.
pub fn copy_tokenizer(files: &ModelFiles, to: &Path) -> Outcome<()> {
    let TokenizerSource::Folder(from) = &files.tokenizer else {
        for (name, text) in tokenizer::read(files)?.files()? {
            let path = to.join(name);
            path.parent().map_or(Ok(()), make_folder)?;
            write_atomic(&path, text.as_bytes())?;
        }
        return Ok(());
    };
    TOKENIZER.iter().try_for_each(|name| copy_file(from, Path::new(name), to))?;
    if !files.new_tokens.is_empty() {
        let tokenizer = tokenizer::read(files)?;
        change_json(&to.join(FILE), |object| text::add_to_file(object, tokenizer.new_tokens()))?;
        change_json(&to.join(CONFIG), |object| text::add_to_config(object, tokenizer.new_tokens()))?;
    }
    if let Some(token) = &files.eos_token {
        for name in [CONFIG, TOKENS] {
            change_json(&to.join(name), |object| {
                object.insert("eos_token".to_owned(), token.as_str().into());
                true
            })?;
        }
    }
    if let Some(template) = &files.chat_template {
        change_json(&to.join(CONFIG), |object| object.remove("chat_template").is_some())?;
        return Ok(write_atomic(&to.join(TEMPLATE), template.as_bytes())?);
    }
    let templates = templates(from);
    if !templates.is_empty() {
        make_folder(&to.join(TEMPLATES))?;
    }
    templates.iter().try_for_each(|name| copy_file(from, name, to))
}

/// Changes the object that a JSON file holds, if the file is there; `change` says whether it has.
fn change_json(path: &Path, change: impl FnOnce(&mut Map<String, Value>) -> bool) -> Outcome<()> {
    if !path.exists() {
        return Ok(());
    }
    let refuse = |error: &dyn std::fmt::Display| {
        let message = format!("expected JSON, got {error}; fetch the file again");
        Error::new(Code::FileInvalid, path.display().to_string(), message)
    };
    let mut value: Value = serde_json::from_slice(&read_limited(path, u64::MAX)?).map_err(|error| refuse(&error))?;
    if !value.as_object_mut().is_some_and(change) {
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&value).map_err(|error| refuse(&error))?;
    Ok(write_atomic(path, text.as_bytes())?)
}

/// Lets the template and the end of sequence that an adapter was trained with take the place of the model's own, where they are others,
/// and its tokens come after the model's.
///
/// # Errors
/// `Io` naming the file, and those of reading both tokenizers and the adapter.
pub fn adopt_tokenizer(files: &mut ModelFiles, adapter: &Path) -> Outcome<()> {
    let own = tokenizer::read_own(&files.tokenizer)?;
    let own = own.with_new_tokens(&files.new_tokens)?;
    let trained = if adapter.join(FILE).exists() { Some(text::Tokenizer::from_dir(adapter)?) } else { None };
    let mut known = own;
    if let Some(trained) = &trained {
        let tokens = tokens_with_rows(files, trained.tokens_beyond(&known), adapter)?;
        known = known.with_new_tokens(&tokens)?;
        files.new_tokens.extend(tokens);
    }
    let path = adapter.join(TEMPLATE);
    if path.exists() {
        let template = String::from_utf8_lossy(&read_limited(&path, u64::MAX)?).into_owned();
        if known.info().chat_template.as_ref() != Some(&template) {
            files.chat_template = Some(template);
        }
    }
    if let Some(trained) = trained {
        let trained = trained.info().eos.clone().map(|token| token.content);
        let before = known.info().eos.as_ref().map(|token| &token.content);
        // One that has no row came with tokens that the adapter has none for either: the model keeps its own.
        files.eos_token = trained.filter(|token| Some(token) != before && known.token_to_id(token).is_some());
    }
    Ok(())
}

/// Those of an adapter's tokens that the model has rows for, or the adapter itself.
fn tokens_with_rows(files: &ModelFiles, tokens: Vec<text::AddedId>, adapter: &Path) -> Outcome<Vec<NewToken>> {
    let mut rows = engine::config::ModelConfig::new(&files.config)?.vocab;
    if tokens.iter().any(|added| added.id >= rows) {
        rows = rows.max(engine::adapter_rows(adapter)?);
    }
    Ok(tokens.into_iter().filter(|added| added.id < rows).map(|added| added.token).collect())
}

/// Copies a file of a folder, if it is there.
fn copy_file(from: &Path, name: &Path, to: &Path) -> Outcome<()> {
    let source = from.join(name);
    if !source.exists() {
        return Ok(());
    }
    Ok(write_atomic(&to.join(name), &read_limited(&source, u64::MAX)?)?)
}

/// The chat templates beside the default one.
fn templates(from: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(from.join(TEMPLATES)).into_iter().flatten().flatten();
    let names = entries.map(|entry| Path::new(TEMPLATES).join(entry.file_name()));
    names.filter(|name| name.extension().is_some_and(|extension| extension == "jinja")).collect()
}

/// Makes a folder and its parents where absent.
///
/// # Errors
/// `Io` naming the folder.
pub fn make_folder(path: &Path) -> Outcome<()> {
    fs::create_dir_all(path).map_err(|error| {
        let place = path.display().to_string();
        let message = format!("expected to make this folder, got {error}; check the path and its permissions");
        Error::new(Code::Io, place, message).into()
    })
}
