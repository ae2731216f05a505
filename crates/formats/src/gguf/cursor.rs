//! Reads forward through untrusted bytes.

use std::path::Path;

use tunesmith_ops::{Error, Result};

use crate::input::invalid;

/// A place in the bytes of a file.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    /// Begins at `position`.
    pub fn new(path: &'a Path, bytes: &'a [u8], position: usize) -> Self {
        Self { path, bytes, position }
    }

    /// Offset of the next byte from the beginning of the file.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not yet read.
    pub fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(count);
        let taken = end.and_then(|end| Some((self.bytes.get(self.position..end)?, end)));
        let Some((taken, end)) = taken else {
            return Err(self.refuse(format!("expected {count} more bytes at {}, got {}", self.position, self.left())));
        };
        self.position = end;
        Ok(taken)
    }

    /// The next `N` bytes as an array, ready for `from_le_bytes`.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// An unsigned 32-bit integer.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// An unsigned 64-bit integer.
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of things that take at least `minimum_bytes` each: at most what the bytes left can hold, and `limit`.
    pub fn count(&mut self, what: &str, minimum_bytes: usize, limit: usize) -> Result<usize> {
        let count = self.u64()?;
        let most = self.left().checked_div(minimum_bytes).unwrap_or(0).min(limit);
        let fits = usize::try_from(count).ok().filter(|&count| count <= most);
        fits.ok_or_else(|| self.refuse(format!("expected at most {most} {what} at {}, got {count}", self.position)))
    }

    /// A string: its length in 64 bits, then UTF-8.
    pub fn string(&mut self, what: &str, limit: usize) -> Result<&'a str> {
        let length = self.count(&format!("bytes of {what}"), 1, limit)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|error| self.refuse(format!("expected UTF-8 in {what}, got: {error}")))
    }

    /// An error at this file.
    pub fn refuse(&self, message: impl std::fmt::Display) -> Error {
        invalid(self.path, format!("{message}; the file is truncated or damaged, download or copy it again"))
    }
}
