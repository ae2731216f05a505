//! Opening files for reading: whole small files with a size limit, large ones as memory maps, and the errors both give.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapMut, MmapOptions};
use tunesmith_ops::{Code, Error, Result};

/// Longest JSON document that is read as a tree, in bytes. A tree takes up to about 40 times the text; configurations of
/// causal language models are a few kilobytes.
pub const MAX_JSON_BYTES: u64 = 1 << 20;

/// The file's content breaks its format.
pub fn invalid(path: &Path, message: impl Into<String>) -> Error {
    Error::new(Code::FileInvalid, path.display().to_string(), message)
}

/// The content is well formed and asks for something this version does not implement.
pub fn unsupported(path: &Path, message: impl Into<String>) -> Error {
    Error::new(Code::ModelUnsupported, path.display().to_string(), message)
}

/// The file that was asked for is not there.
pub fn missing(path: &Path, message: impl Into<String>) -> Error {
    Error::new(Code::FileMissing, path.display().to_string(), message)
}

/// What the operating system said about a file operation.
pub fn io_error(path: &Path, action: &str, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::NotFound => Code::FileMissing,
        io::ErrorKind::OutOfMemory => Code::OutOfMemory,
        _ => Code::Io,
    };
    Error::new(
        code,
        path.display().to_string(),
        format!("expected to {action}, got: {error}; check the path and its permissions"),
    )
}

/// Opens a regular file and tells its size in bytes. Pipes, devices and folders are refused.
pub fn open_regular(path: &Path) -> Result<(File, u64)> {
    // Looked at before it is opened: opening a named pipe would wait for a writer.
    let metadata = fs::metadata(path).map_err(|error| io_error(path, "open this file", &error))?;
    if !metadata.is_file() {
        return Err(invalid(path, "expected a regular file, got something else; give the path of a file"));
    }
    let file = File::open(path).map_err(|error| io_error(path, "open this file", &error))?;
    Ok((file, metadata.len()))
}

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
/// `FileMissing`, `Io`; `FileInvalid` for a longer file, and for a pipe, a device or a folder.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, size) = open_regular(path)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that grew since it was measured.
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| io_error(path, "read this file", &error))?;
    if bytes.len() as u64 > limit {
        return Err(invalid(
            path,
            format!("expected at most {limit} bytes, got {size}; this is not the file its name promises"),
        ));
    }
    Ok(bytes)
}

/// A read-only memory map of a regular file.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps the whole file.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, size) = open_regular(path)?;
        if size == 0 {
            return Err(invalid(path, "expected a model file, got 0 bytes; download or copy it again"));
        }
        // SAFETY: the map is read-only and of a regular file whose size was just taken. Rust's own rules hold as long as no
        // other process truncates or rewrites the file in place; our own writers never do, they rename new files over it.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| io_error(path, "map this file", &error))?;
        Ok(Self { path: path.to_path_buf(), map })
    }

    /// Path the file was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Takes bytes of the file out of this process's memory; the next look at them brings them back.
    pub fn release(&self, bytes: &[u8]) {
        #[cfg(unix)]
        {
            let start = bytes.as_ptr().addr().wrapping_sub(self.map.as_ptr().addr());
            if start <= self.map.len() && bytes.len() <= self.map.len().saturating_sub(start) {
                // SAFETY: the map is of a file and read-only, so pages that are dropped come back with the same content.
                let dropped =
                    unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, bytes.len()) };
                // A hint that is not taken costs memory and nothing else.
                drop(dropped);
            }
        }
        #[cfg(not(unix))]
        let _ = bytes;
    }
}

/// A memory map of a regular file that whoever holds it may write to: what is written stays in this process.
#[derive(Debug)]
pub struct PrivateMap(MmapMut);

impl PrivateMap {
    /// Maps the whole file.
    ///
    /// # Errors
    /// `IO` where the file cannot be opened or mapped, `INVALID` for one without a byte.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, size) = open_regular(path)?;
        if size == 0 {
            return Err(invalid(path, "expected a file with content, got 0 bytes; make it again"));
        }
        // SAFETY: as for `MappedFile`; the map is private, so writing to it changes no file.
        let map = unsafe { MmapOptions::new().map_copy(&file) };
        map.map(Self).map_err(|error| io_error(path, "map this file", &error))
    }

    /// All bytes of the file.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_map_is_written_to_without_changing_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, b"12345").unwrap();
        let mut map = PrivateMap::open(&path).unwrap();
        map.bytes_mut()[0] = b'9';
        assert_eq!(map.bytes_mut(), b"92345");
        assert_eq!(fs::read(&path).unwrap(), b"12345");
        fs::write(&path, b"").unwrap();
        assert!(PrivateMap::open(&path).is_err());
        assert!(PrivateMap::open(dir.path()).is_err());
    }

    #[test]
    fn long_empty_and_irregular_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_limited(&path, 5).unwrap(), b"12345");
        let error = read_limited(&path, 4).unwrap_err();
        assert_eq!(error.code, Code::FileInvalid);
        assert!(error.message.contains("at most 4 bytes, got 5"), "{error}");
        let mapped = MappedFile::open(&path).unwrap();
        mapped.release(&mapped.bytes()[1..3]);
        mapped.release(b"elsewhere");
        assert_eq!(mapped.bytes(), b"12345");
        drop(mapped);
        fs::write(&path, b"").unwrap();
        assert_eq!(MappedFile::open(&path).unwrap_err().code, Code::FileInvalid);
        assert_eq!(MappedFile::open(dir.path()).unwrap_err().code, Code::FileInvalid);
        assert_eq!(MappedFile::open(&dir.path().join("b")).unwrap_err().code, Code::FileMissing);
    }
}
