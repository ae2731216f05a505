//! Files that appear whole or not at all: written beside their place, synced, renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};
use tunesmith_ops::Result;

use crate::input::io_error;

/// A file being written under a temporary name in the folder of its final place. Dropping it before
/// [`AtomicFile::commit`] removes what was written and leaves the old file, if any, untouched.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Begins a file that will be `path`; its folder must exist.
    ///
    /// # Errors
    /// `FileMissing` where the folder is absent, `Io`.
    pub fn create(path: &Path) -> Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(".tmp-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder_of(path)).map_err(|error| io_error(path, "create this file", &error))?;
        Ok(Self { path: path.to_path_buf(), file: BufWriter::with_capacity(1 << 20, file) })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// `Io`, such as a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| io_error(&self.path, "write this file", &error))
    }

    /// Flushes to the disk and renames into place; afterwards the file survives a loss of power.
    ///
    /// # Errors
    /// `Io`; the file under its final name is then the old one.
    pub fn commit(self) -> Result<()> {
        let Self { path, file } = self;
        let failed = |error: &io::Error| io_error(&path, "finish this file", error);
        let file = file.into_inner().map_err(|error| failed(error.error()))?;
        file.as_file().sync_all().map_err(|error| failed(&error))?;
        file.persist(&path).map_err(|error| failed(&error.error))?;
        sync_dir(folder_of(&path))
    }
}

/// Writes a whole file atomically: temporary file, fsync, rename, fsync of the folder.
///
/// # Errors
/// `FileMissing` where the folder is absent, `Io`.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write(bytes)?;
    file.commit()
}

/// Flushes a folder's list of names to the disk, so that a rename in it is durable. Windows offers no such call and needs
/// none for NTFS renames.
///
/// # Errors
/// `FileMissing`, `Io`.
pub fn sync_dir(dir: &Path) -> Result<()> {
    if cfg!(unix) {
        let synced = File::open(dir).and_then(|folder| folder.sync_all());
        synced.map_err(|error| io_error(dir, "sync this folder", &error))?;
    }
    Ok(())
}

/// Creates a folder and its parents where absent.
pub(crate) fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| io_error(dir, "create this folder", &error))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_file_leaves_the_old_one_and_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_atomic(Path::new("no/such/folder/a.json"), b"").unwrap_err();
        assert_eq!(error.code, tunesmith_ops::Code::FileMissing);
        assert!(error.place.contains("no/such/folder/a.json"));
    }
}
