//! SHA-256 of whole files, read piece by piece.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};
use tunesmith_ops::Result;

use crate::input::{io_error, open_regular};

/// Bytes of one piece.
const PIECE: usize = 1 << 20;

/// SHA-256 of a file's content, in hexadecimal. The file is read, not mapped: none of it stays in memory.
///
/// # Errors
/// `FileMissing`, `Io`, `FileInvalid` for anything but a regular file.
pub fn file_digest(path: &Path) -> Result<String> {
    let failed = |error: &std::io::Error| io_error(path, "read this file", error);
    let (mut file, _) = open_regular(path)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).map_err(|error| failed(&error))? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

/// SHA-256 of a text, in hexadecimal.
pub fn text_digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(file_digest(&path).unwrap(), want);
        assert_eq!(text_digest("abc"), want);
        assert_eq!(file_digest(&dir.path().join("b")).unwrap_err().code, tunesmith_ops::Code::FileMissing);
    }
}
