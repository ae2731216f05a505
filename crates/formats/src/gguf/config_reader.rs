//! Keys of one architecture, named in full in errors.

use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

use super::architectures::Architecture;
use super::metadata::Metadata;

/// Reads the keys of one architecture, naming them in full in errors.
pub struct ConfigReader<'a> {
    pub path: &'a Path,
    pub metadata: &'a Metadata,
    /// The whole file.
    pub bytes: &'a [u8],
    pub architecture: &'static Architecture,
}

impl ConfigReader<'_> {
    /// Elements of one head.
    pub fn head_dim(&self) -> Result<u64> {
        let (hidden, heads) = (self.required("embedding_length")?, self.required("attention.head_count")?);
        let given = self.integer("attention.key_length")?;
        let head_dim = given.or(hidden.checked_div(heads).filter(|_| hidden.is_multiple_of(heads)));
        let Some(head_dim) = head_dim.filter(|&head_dim| head_dim > 0 && head_dim.is_multiple_of(2)) else {
            return Err(self.refuse(
                Code::ConfigInvalid,
                format!("expected an even head size, got {hidden} elements for {heads} heads"),
            ));
        };
        if let Some(other) = self.integer("attention.value_length")?.filter(|&other| other != head_dim) {
            let key = self.key("attention.value_length");
            return Err(self.refuse(Code::ModelUnsupported, format!("expected {head_dim} in `{key}`, got {other}")));
        }
        Ok(head_dim)
    }

    pub(super) fn required(&self, key: &str) -> Result<u64> {
        match self.integer(key)? {
            Some(value) if value > 0 => Ok(value),
            other => {
                let got = other.map_or("none".to_owned(), |value| value.to_string());
                let message = format!("expected a number above 0 in `{}`, got {got}", self.key(key));
                Err(self.refuse(Code::ConfigInvalid, message))
            }
        }
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.metadata.integer(&self.key(key))
    }

    pub(super) fn float(&self, key: &str) -> Result<Option<f64>> {
        self.metadata.float(&self.key(key))
    }

    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture.name)
    }

    pub(super) fn refuse(&self, code: Code, message: impl std::fmt::Display) -> Error {
        Error::new(code, self.path.display().to_string(), format!("{message}; use another model"))
    }
}
