//! A model as a user names it: a Hugging Face folder, a GGUF file, or a folder that holds one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tunesmith_ops::{Code, Error, Result};

use crate::config::ModelConfig;
use crate::gguf::{GgufFile, GgufTokenizer};
use crate::input::{invalid, io_error, missing};
use crate::nf4::check_quantization;
use crate::safetensors::{SafetensorsFile, ShardedSafetensors};
use crate::stored_tensor::TensorSource;
use crate::tied_head::{has_own_head, with_embedding};

/// The key that makes head and embedding one matrix.
const TIED: &str = "tie_word_embeddings";

/// Where the tokenizer of a model comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenizerSource {
    /// A folder with `tokenizer.json` and its companions.
    Folder(PathBuf),
    /// The tokenizer inside a GGUF file.
    Gguf(Box<GgufTokenizer>),
}

/// A token that is added to a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its text.
    pub content: String,
    /// Left out of decoded text, and never made of a row's own words.
    pub special: bool,
}

/// An opened model: everything there is to know before weights are converted.
pub struct ModelFiles {
    /// Configuration under Hugging Face names.
    pub config: ModelConfig,
    /// Weights under Hugging Face names.
    pub source: Box<dyn TensorSource>,
    /// Tokenizer.
    pub tokenizer: TokenizerSource,
    /// A chat template in place of those of the tokenizer.
    pub chat_template: Option<String>,
    /// An end of sequence in place of the tokenizer's own.
    pub eos_token: Option<String>,
    /// Tokens that the tokenizer has besides its own, in the order of their ids.
    pub new_tokens: Vec<NewToken>,
    /// Ids that end a generated text: of `generation_config.json`, else of the configuration. May be empty.
    pub eos_token_ids: Vec<u32>,
    /// What the user should know of the files.
    pub warnings: Vec<String>,
}

impl ModelFiles {
    /// Opens a Hugging Face folder (`config.json` with `model.safetensors` or `model.safetensors.index.json`), a `.gguf`
    /// file, or a folder that holds exactly one `.gguf` file.
    ///
    /// # Errors
    /// `FileMissing`, `FileInvalid`, `ConfigInvalid`, `ModelUnsupported`: each names the file and what it lacks.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(missing(path, "expected a model folder or a .gguf file, got nothing there; check the path"));
        }
        if !path.is_dir() {
            if has_extension(path, &PICKLES) {
                return Err(pickle(path));
            }
            return Self::open_gguf(path);
        }
        if path.join("config.json").exists() {
            return Self::open_folder(path);
        }
        match files_ending(path, &["gguf"])?.as_slice() {
            [one] => Self::open_gguf(one),
            [] => Err(missing(
                path,
                "expected config.json or a .gguf file in this folder, got neither; give the folder of a model",
            )),
            several => {
                let count = several.len();
                Err(Error::new(
                    Code::ArgumentInvalid,
                    path.display().to_string(),
                    format!("expected one .gguf file, got {count}; name the file itself"),
                ))
            }
        }
    }

    fn open_gguf(path: &Path) -> Result<Self> {
        let file = GgufFile::open(path)?;
        let tokenizer = file.tokenizer()?;
        Ok(Self {
            warnings: tokenizer.doubt(path).into_iter().collect(),
            config: file.config().clone(),
            tokenizer: TokenizerSource::Gguf(Box::new(tokenizer)),
            chat_template: None,
            eos_token: None,
            new_tokens: Vec::new(),
            eos_token_ids: file.config().eos_token_ids()?,
            source: Box::new(file),
        })
    }

    fn open_folder(dir: &Path) -> Result<Self> {
        let mut config = ModelConfig::read(&dir.join("config.json"))?;
        check_quantization(&config)?;
        let generation = dir.join("generation_config.json");
        let mut eos_token_ids = Vec::new();
        if generation.exists() {
            eos_token_ids = ModelConfig::read(&generation)?.eos_token_ids()?;
        }
        if eos_token_ids.is_empty() {
            eos_token_ids = config.eos_token_ids()?;
        }
        let mut warnings = Vec::new();
        let source = open_weights(dir, &mut warnings)?;
        // Families differ in what an absent key means: the engine asks for the head where it is not tied.
        let mut tied = config.flag(TIED, true)?;
        if tied && has_own_head(&*source)? {
            // What is stored counts, as in transformers 5.
            tied = false;
            if config.value(TIED).is_some() {
                warnings.push(format!(
                    "{}: the head is lm_head.weight as it is stored and not the embedding, though config.json ties them: \
                     their values differ; set {TIED} to false, or remove lm_head.weight where the embedding is meant",
                    dir.display()
                ));
            }
            config = config.with(TIED, json!(false));
        }
        Ok(Self {
            source: if tied { with_embedding(source) } else { source },
            config,
            tokenizer: TokenizerSource::Folder(dir.to_path_buf()),
            chat_template: None,
            eos_token: None,
            new_tokens: Vec::new(),
            eos_token_ids,
            warnings,
        })
    }
}

/// Opens the weights of a folder: one file, which transformers takes first as well, or the shards of an index.
fn open_weights(dir: &Path, warnings: &mut Vec<String>) -> Result<Box<dyn TensorSource>> {
    let (single, index) = (dir.join("model.safetensors"), dir.join("model.safetensors.index.json"));
    if single.exists() {
        if index.exists() {
            warnings.push(format!(
                "{}: model.safetensors is used, and not the shards of the model.safetensors.index.json beside it; \
                 remove the one that is not meant",
                dir.display()
            ));
        }
        return Ok(Box::new(SafetensorsFile::open(&single)?));
    }
    if index.exists() {
        let shards = ShardedSafetensors::open(&index)?;
        if !shards.stale().is_empty() {
            let names = some_of(shards.stale());
            warnings.push(format!("{}: tensors that no shard holds are not used: {names}", index.display()));
        }
        return Ok(Box::new(shards));
    }
    refuse_pickles(dir)?;
    Err(missing(&single, "expected this file or model.safetensors.index.json, got neither; download the weights"))
}

/// The first names of a list in words, and how many there are beyond them.
pub fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(3) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Extensions under which weights are pickled.
const PICKLES: [&str; 6] = ["bin", "pt", "pth", "ckpt", "pkl", "pickle"];

/// Pickled weights run code when they are read: they are named and never opened.
pub(crate) fn refuse_pickles(dir: &Path) -> Result<()> {
    files_ending(dir, &PICKLES)?.first().map_or(Ok(()), |path| Err(pickle(path)))
}

fn pickle(path: &Path) -> Error {
    invalid(
        path,
        "expected weights as safetensors, got a pickle, which is never read because it can run code; save the model or \
         adapter with save_pretrained(..., safe_serialization=True), or download its .safetensors files",
    )
}

/// Files of a folder with one of the given extensions, sorted.
fn files_ending(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(dir).and_then(|items| items.map(|item| item.map(|item| item.path())).collect());
    let mut paths: Vec<PathBuf> = listed.map_err(|error| io_error(dir, "list this folder", &error))?;
    paths.retain(|path| has_extension(path, extensions));
    paths.sort();
    Ok(paths)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|end| extensions.iter().any(|wanted| end.eq_ignore_ascii_case(wanted)))
}
