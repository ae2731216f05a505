//! What the integration tests share: the fixtures' root, and a small tokenizer folder written on the spot.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;
use tunesmith_text::Tokenizer;

/// The large fixtures, or none with a visible line.
pub fn fixtures() -> Option<PathBuf> {
    let root = env::var_os("TUNESMITH_FIXTURES").map(PathBuf::from);
    if root.is_none() {
        eprintln!("skipped: TUNESMITH_FIXTURES is not set");
    }
    root
}

/// Numbers of the cases to try, from 0: `usual` many, as many as `TRIALS` says, or those that fit into `TRIAL_SECONDS`.
pub fn cases(usual: u64) -> impl Iterator<Item = u64> {
    let number = |name| env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let end = number("TRIAL_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let count = if end.is_some() { u64::MAX } else { number("TRIALS").unwrap_or(usual) };
    (0..count).take_while(move |_| end.is_none_or(|end| Instant::now() < end))
}

pub fn read_json(path: &Path) -> Json {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

pub const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// A byte-level tokenizer of four special tokens, the 256 bytes and a few merges.
pub fn tokenizer_json() -> Json {
    tokenizer_json_with(&["<|pad|>", "<|im_start|>", "<|im_end|>", "<|end|>"])
}

/// The same with other special tokens; they have the first ids.
pub fn tokenizer_json_with(specials: &[&str]) -> Json {
    let mut vocab = Map::new();
    let mut added = Vec::new();
    for (id, token) in specials.iter().enumerate() {
        added.push(json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}));
        vocab.insert((*token).to_owned(), json!(id));
    }
    let mut next = specials.len();
    let mut insert = |token: &str| {
        vocab.insert(token.to_owned(), json!(next));
        next += 1;
    };
    byte_letters().for_each(|letter| insert(&letter.to_string()));
    let merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ċ Ċ"];
    for merge in merges {
        insert(&merge.replace(' ', ""));
    }
    json!({
        "version": "1.0", "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

/// GPT-2's letters for the 256 bytes, in byte order.
pub fn byte_letters() -> impl Iterator<Item = char> {
    let mut spare = 256;
    (0..=255_u32).map(move |byte| {
        let printable = matches!(byte, 33..=126 | 161..=172 | 174..=255);
        let code = if printable { byte } else { spare };
        spare += u32::from(!printable);
        char::from_u32(code).unwrap()
    })
}

/// Writes a model folder's tokenizer files.
pub fn folder(file: &Json, config: &Json) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
    fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    dir
}

/// The small tokenizer with a chat template.
pub fn small(template: &str) -> Tokenizer {
    let config = json!({"eos_token": "<|im_end|>", "pad_token": {"content": "<|pad|>"}, "model_max_length": 1e30, "chat_template": template});
    Tokenizer::from_dir(folder(&tokenizer_json(), &config).path()).unwrap()
}
