//! `MANIFEST.json`: size and SHA-256 of every file of a folder, so that damage is found before a file is used.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tunesmith_ops::{Code, Error, Result};

use crate::atomic_file::write_atomic;
use crate::input::{MAX_JSON_BYTES, io_error, read_limited};

/// Name of the manifest in its folder.
const FILE_NAME: &str = "MANIFEST.json";

/// What the manifest says about one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Bytes.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// The files of one folder, without subfolders and without the manifest itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// By file name.
    pub files: BTreeMap<String, ManifestEntry>,
}

impl Manifest {
    /// Measures every file of `dir`, makes each durable and writes the manifest beside them.
    ///
    /// # Errors
    /// `CheckpointInvalid` names a subfolder, `Io`.
    pub fn write(dir: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for item in fs::read_dir(dir).map_err(|error| io_error(dir, "list this folder", &error))? {
            let item = item.map_err(|error| io_error(dir, "list this folder", &error))?;
            let path = item.path();
            let Some(name) = item.file_name().to_str().map(str::to_owned).filter(|_| path.is_file()) else {
                return Err(damaged(&path, "expected only files with plain names, got something else; remove it"));
            };
            if name != FILE_NAME {
                // Windows syncs only what is open for writing.
                let file = File::options()
                    .write(true)
                    .open(&path)
                    .map_err(|error| io_error(&path, "open this file", &error))?;
                file.sync_all().map_err(|error| io_error(&path, "sync this file", &error))?;
                files.insert(name, measure(&path)?);
            }
        }
        let manifest = Self { files };
        let text = serde_json::to_string_pretty(&manifest).map_err(|error| damaged(dir, error.to_string()))?;
        write_atomic(&dir.join(FILE_NAME), format!("{text}\n").as_bytes())?;
        Ok(manifest)
    }

    /// Reads the manifest of `dir` and checks every file it lists. Files it does not list are left alone.
    ///
    /// # Errors
    /// `CheckpointInvalid` names the first file that is absent, of another size, or of other content; `FileMissing` where
    /// there is no manifest.
    pub fn verify(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE_NAME);
        let manifest: Self = serde_json::from_slice(&read_limited(&path, MAX_JSON_BYTES)?)
            .map_err(|error| damaged(&path, format!("expected a manifest, got: {error}; use another checkpoint")))?;
        for (name, expected) in &manifest.files {
            verify_file(&dir.join(name), name, expected)?;
        }
        Ok(manifest)
    }
}

fn verify_file(path: &Path, name: &str, expected: &ManifestEntry) -> Result<()> {
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Err(damaged(
            path,
            format!("expected names of files beside the manifest, got {name:?}; use another checkpoint"),
        ));
    }
    let size = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => return Err(damaged(path, "expected this file of the manifest, got none; use another checkpoint")),
    };
    if size != expected.size {
        return Err(damaged(path, format!("expected {} bytes, got {size}; use another checkpoint", expected.size)));
    }
    let got = measure(path)?;
    if got != *expected {
        return Err(damaged(
            path,
            format!("expected SHA-256 {}, got {}; use another checkpoint", expected.sha256, got.sha256),
        ));
    }
    Ok(())
}

fn measure(path: &Path) -> Result<ManifestEntry> {
    let failed = |error: &std::io::Error| io_error(path, "read this file", error);
    let mut file = File::open(path).map_err(|error| failed(&error))?;
    let mut buffer = vec![0; 1 << 20];
    let mut hash = Sha256::new();
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer).map_err(|error| failed(&error))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        size += read as u64;
    }
    let sha256 = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok(ManifestEntry { size, sha256 })
}

fn damaged(path: &Path, message: impl Into<String>) -> Error {
    Error::new(Code::CheckpointInvalid, path.display().to_string(), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_damage_names_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.bin"), dir.path().join("b.bin"));
        fs::write(&a, b"abc").unwrap();
        fs::write(&b, b"").unwrap();
        let written = Manifest::write(dir.path()).unwrap();
        assert_eq!(written.files["a.bin"].sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Manifest::verify(dir.path()).unwrap(), written);
        assert_eq!(Manifest::write(dir.path()).unwrap(), written, "the manifest does not list itself");

        fs::write(&a, b"abd").unwrap();
        let error = Manifest::verify(dir.path()).unwrap_err();
        assert_eq!(error.code, Code::CheckpointInvalid);
        assert!(error.place.ends_with("a.bin") && error.message.contains("SHA-256"), "{error}");
        fs::write(&a, b"ab").unwrap();
        assert!(Manifest::verify(dir.path()).unwrap_err().message.contains("expected 3 bytes, got 2"));
        fs::remove_file(&a).unwrap();
        assert!(Manifest::verify(dir.path()).unwrap_err().message.contains("got none"));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"files": {"../a": {"size": 0, "sha256": ""}}}"#;
        fs::write(dir.path().join(FILE_NAME), text).unwrap();
        assert!(Manifest::verify(dir.path()).unwrap_err().message.contains("beside the manifest"));
    }
}
