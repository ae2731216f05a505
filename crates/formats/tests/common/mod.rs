//! What the integration tests share.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses its own part")]

pub mod gguf;

use std::path::{Path, PathBuf};

use tunesmith_formats::F32Tensor;

/// The large fixtures, or a visible note that they are absent.
pub fn fixtures() -> Option<PathBuf> {
    let root = std::env::var_os("TUNESMITH_FIXTURES").map(PathBuf::from);
    if root.is_none() {
        eprintln!("skipped: TUNESMITH_FIXTURES is not set");
    }
    root
}

/// Folders inside a folder, sorted.
pub fn subfolders(dir: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|item| item.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// A tensor to write.
pub fn tensor<'a>(name: &str, shape: &[usize], data: &'a [f32]) -> F32Tensor<'a> {
    F32Tensor { name: name.to_owned(), shape: shape.to_vec(), data }
}

/// Bytes of a safetensors file with this header text.
pub fn safetensors_bytes(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}
