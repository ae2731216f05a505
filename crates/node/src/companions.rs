//! The files beside the weights: copied next to a trained model or adapter, so that its folder loads by itself.

use std::fs;
use std::path::{Path, PathBuf};

use tunesmith_formats::{TokenizerSource, read_limited, write_atomic};
use tunesmith_ops::{Code, Error};

use crate::error::Outcome;
use crate::tokenizer;

/// Files of a Hugging Face folder that describe text. Each is copied where it exists.
const TOKENIZER: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

/// Folder of chat templates beside the default one.
const TEMPLATES: &str = "additional_chat_templates";

/// How a model generates; nothing of an adapter.
const GENERATION: &str = "generation_config.json";

/// Copies what belongs with a whole model.
///
/// # Errors
/// `Io` naming the file.
pub fn copy(from: &TokenizerSource, to: &Path) -> Outcome<()> {
    copy_tokenizer(from, to)?;
    let TokenizerSource::Folder(from) = from else { return Ok(()) };
    copy_file(from, Path::new(GENERATION), to)
}

/// Copies the tokenizer with its chat template; the one inside a GGUF file is written out as such files.
///
/// # Errors
/// `Io` naming the file.
pub fn copy_tokenizer(from: &TokenizerSource, to: &Path) -> Outcome<()> {
    let TokenizerSource::Folder(from) = from else {
        for (name, text) in tokenizer::read(from)?.files()? {
            let path = to.join(name);
            path.parent().map_or(Ok(()), make_folder)?;
            write_atomic(&path, text.as_bytes())?;
        }
        return Ok(());
    };
    TOKENIZER.iter().try_for_each(|name| copy_file(from, Path::new(name), to))?;
    let templates = templates(from);
    if !templates.is_empty() {
        make_folder(&to.join(TEMPLATES))?;
    }
    templates.iter().try_for_each(|name| copy_file(from, name, to))
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
