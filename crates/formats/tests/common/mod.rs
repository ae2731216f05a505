//! What the integration tests share.

use std::path::{Path, PathBuf};

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
