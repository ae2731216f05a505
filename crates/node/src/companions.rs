//! The files beside the weights: copied next to a fully fine-tuned model, so that its folder loads again.

use std::fs;
use std::path::Path;

use tunesmith_formats::{TokenizerSource, read_limited, write_atomic};
use tunesmith_ops::{Code, Error};

use crate::error::Outcome;
use crate::tokenizer;

/// Files of a Hugging Face folder that describe text and generation. Each is copied where it exists.
const FILES: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
];

/// Copies them from a model's folder to `to`; the tokenizer inside a GGUF file is written out as such files.
///
/// # Errors
/// `Io` naming the file.
pub fn copy(from: &TokenizerSource, to: &Path) -> Outcome<()> {
    let TokenizerSource::Folder(from) = from else {
        for (name, text) in tokenizer::read(from)?.files()? {
            write_atomic(&to.join(name), text.as_bytes())?;
        }
        return Ok(());
    };
    for name in FILES {
        let source = from.join(name);
        if !source.exists() {
            continue;
        }
        write_atomic(&to.join(name), &read_limited(&source, u64::MAX)?)?;
    }
    Ok(())
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
