//! One memory-mapped safetensors file.

use std::collections::BTreeMap;
use std::path::Path;

use tunesmith_ops::Result;

use super::header::{Header, read_header};
use crate::input::{MappedFile, invalid};
use crate::stored_tensor::{RowOrder, StoredTensor, TensorSource};

/// An opened safetensors file. Nothing is copied: tensors are views of the map.
#[derive(Debug)]
pub struct SafetensorsFile {
    file: MappedFile,
    header: Header,
}

impl SafetensorsFile {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// `FileMissing` where there is none; `FileInvalid` names both sizes where it is truncated; `ModelUnsupported` names an
    /// element type that is not read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let header = read_header(path, file.bytes())?;
        Ok(Self { file, header })
    }

    /// Path the file was opened by.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The free-form strings of `__metadata__`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }
}

impl TensorSource for SafetensorsFile {
    fn names(&self) -> Vec<String> {
        self.header.entries.keys().cloned().collect()
    }

    fn get(&self, name: &str) -> Result<StoredTensor<'_>> {
        let absent = || {
            invalid(
                self.path(),
                format!("expected tensor `{name}`, got none of that name; the file is not a whole model"),
            )
        };
        let (name, entry) = self.header.entries.get_key_value(name).ok_or_else(absent)?;
        let end = entry.offset.checked_add(entry.len);
        let bytes = end.and_then(|end| self.file.bytes().get(entry.offset..end)).ok_or_else(absent)?;
        Ok(StoredTensor::new(name, entry.stored, entry.shape.clone(), bytes, RowOrder::Natural))
    }

    fn contains(&self, name: &str) -> bool {
        self.header.entries.contains_key(name)
    }

    fn files(&self) -> Vec<&Path> {
        vec![self.path()]
    }

    fn release(&self, name: &str) {
        if let Some(bytes) = self.get(name).ok().and_then(|tensor| tensor.bytes()) {
            self.file.release(bytes);
        }
    }
}
