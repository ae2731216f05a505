//! Reads a tokenizer's text files: regular files of a sane size only, so that a pipe or a device cannot hold the reader.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::error::{Result, TextError};

/// Longest file in bytes; the largest published `tokenizer.json` has about 35 MB.
const MAX_BYTES: u64 = 128 << 20;

/// The file's text; none when there is no such file.
///
/// # Errors
/// `TOKENIZER_INVALID` for what is no regular file, for too long a file and for bytes that are not UTF-8; `FILE_MISSING`
/// when it cannot be read.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>> {
    let refused = |what: String| Err(TextError::tokenizer(&path.display().to_string(), &what));
    match read(path) {
        Ok(Content::Other(kind)) => refused(format!("expected a regular file, got {kind}; put the file itself there")),
        Ok(Content::TooLong(length)) => {
            refused(format!("expected at most {MAX_BYTES} bytes, got {length}; this is not the file its name promises"))
        }
        Ok(Content::Text(text)) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            refused("expected UTF-8 text, got other bytes; fetch the file again".to_owned())
        }
        Err(error) => Err(TextError::missing(
            &path.display().to_string(),
            &format!("expected a readable file, got {error}; check its permissions"),
        )),
    }
}

enum Content {
    Text(String),
    TooLong(u64),
    Other(&'static str),
}

fn read(path: &Path) -> io::Result<Content> {
    // Looked at before it is opened: opening a pipe waits for its other end.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok(Content::Other(if metadata.is_dir() { "a folder" } else { "a pipe, a socket or a device" }));
    }
    if metadata.len() > MAX_BYTES {
        return Ok(Content::TooLong(metadata.len()));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(Content::Text(text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::read_text;

    #[test]
    fn a_missing_file_is_none_and_a_file_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        assert_eq!(read_text(&path).unwrap(), None);
        fs::write(&path, "{}").unwrap();
        assert_eq!(read_text(&path).unwrap().as_deref(), Some("{}"));
    }

    #[test]
    fn a_folder_and_bytes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = read_text(dir.path()).unwrap_err();
        assert!(error.code == "TOKENIZER_INVALID" && error.message.contains("got a folder"), "{error}");
        fs::write(dir.path().join("x"), [0xff]).unwrap();
        assert_eq!(read_text(&dir.path().join("x")).unwrap_err().code, "TOKENIZER_INVALID");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_and_a_device_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("tokenizer.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), std::path::Path::new("/dev/zero")] {
            let error = read_text(path).unwrap_err();
            assert!(error.code == "TOKENIZER_INVALID" && error.message.contains("regular file"), "{error}");
        }
    }
}
