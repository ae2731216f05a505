//! The chat templates of a tokenizer: most have one, some have one more for conversations with tools.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tunesmith_formats::GgufTokenizer;

use crate::error::{Result, TextError};
use crate::read::read_text;
use crate::template::ChatTemplate;

/// The template of all rows, or of those without tools.
pub(crate) const DEFAULT: &str = "default";
/// The template of rows with tools, where a tokenizer has it.
pub(crate) const TOOL_USE: &str = "tool_use";
const PLACE: &str = "chat template";

/// Sources of templates by name.
pub(crate) type Sources = BTreeMap<String, String>;

/// The compiled templates. The other names of a tokenizer are for programs that ask for them by name.
pub(crate) struct ChatTemplates {
    default: Option<ChatTemplate>,
    tool_use: Option<ChatTemplate>,
    sha256: String,
}

impl ChatTemplates {
    /// Compiles those that rows take.
    ///
    /// # Errors
    /// `TEMPLATE_INVALID` with the line when one does not parse, or when none of them is for rows.
    pub fn compile(sources: &Sources, special_tokens: &BTreeMap<String, String>) -> Result<Self> {
        let compiled = |name: &str| {
            let source = sources.get(name);
            source.map(|source| ChatTemplate::compile(source, special_tokens)).transpose()
        };
        let (default, tool_use) = (compiled(DEFAULT)?, compiled(TOOL_USE)?);
        if default.is_none() && tool_use.is_none() {
            let names: Vec<&str> = sources.keys().map(String::as_str).collect();
            let got = names.join(", ");
            let what = format!("expected one called {DEFAULT} or {TOOL_USE}, got {got}; rename the one to train with");
            return Err(TextError::template(PLACE, &what));
        }
        let sha256 = match (&default, &tool_use) {
            (Some(only), None) | (None, Some(only)) => only.sha256().to_owned(),
            _ => format!("{:x}", Sha256::digest([DEFAULT, TOOL_USE].map(|name| sources[name].as_str()).join("\0"))),
        };
        Ok(Self { default, tool_use, sha256 })
    }

    /// The template of a row, chosen as transformers 5.24 does.
    ///
    /// # Errors
    /// `TEMPLATE_INVALID` for a row without tools where there is only a template for tools.
    pub fn of_row(&self, has_tools: bool) -> Result<&ChatTemplate> {
        self.tool_use.as_ref().filter(|_| has_tools).or(self.default.as_ref()).ok_or_else(|| {
            let what = format!(
                "expected one called {DEFAULT} for a row without tools, got only {TOOL_USE}; add one, or tools to the row"
            );
            TextError::template(PLACE, &what)
        })
    }

    /// SHA-256 of the source, hexadecimal; of both where there are two.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// True when the template of rows without tools (of all, where there is only one) marks assistant text.
    pub fn has_generation_tags(&self) -> bool {
        self.default.as_ref().or(self.tool_use.as_ref()).is_some_and(ChatTemplate::has_generation_tags)
    }
}

/// The template that stands for all, where one has to.
pub(crate) fn main_source(sources: &Sources) -> Option<&String> {
    sources.get(DEFAULT).or_else(|| sources.get(TOOL_USE))
}

/// One template under the name that every row takes.
pub(crate) fn single(source: String) -> Sources {
    Sources::from([(DEFAULT.to_owned(), source)])
}

/// The templates of a folder: its files, and only where there are none those of its configuration.
///
/// # Errors
/// `FILE_MISSING` for a file that cannot be read, `TOKENIZER_INVALID` for one that is not text.
pub(crate) fn of_folder(dir: &Path, configured: &Json) -> Result<Sources> {
    let mut sources = Sources::new();
    if let Some(source) = read_text(&dir.join("chat_template.jinja"))? {
        sources.insert(DEFAULT.to_owned(), source);
    }
    for path in additional(dir)? {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        sources.extend(name.zip(read_text(&path)?));
    }
    Ok(if sources.is_empty() { of_config(configured) } else { sources })
}

/// The templates of a GGUF file.
pub(crate) fn of_gguf(gguf: &GgufTokenizer) -> Sources {
    let named = [(DEFAULT, &gguf.chat_template), (TOOL_USE, &gguf.tool_use_template)];
    named.into_iter().filter_map(|(name, source)| Some((name.to_owned(), source.clone()?))).collect()
}

/// Paths of the templates beside the default one.
fn additional(dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = dir.join("additional_chat_templates");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => {
            let what = format!("expected a readable folder, got {error}; check its permissions");
            return Err(TextError::missing(&folder.display().to_string(), &what));
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jinja"));
    paths.sort();
    Ok(paths)
}

/// A template is its text, or a list of `{name, template}`.
fn of_config(value: &Json) -> Sources {
    if let Some(source) = value.as_str() {
        return single(source.to_owned());
    }
    let entries = value.as_array().into_iter().flatten();
    entries
        .filter_map(|entry| Some((entry["name"].as_str()?.to_owned(), entry["template"].as_str()?.to_owned())))
        .collect()
}
