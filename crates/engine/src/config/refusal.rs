//! The error of a configuration that asks for what the engine does not compute.

use tunesmith_formats::ModelConfig as HfConfig;
use tunesmith_ops::{Code, Error};

/// `ModelUnsupported` for the value of a key.
pub(super) fn unsupported(config: &HfConfig, key: &str, expected: &str, got: impl std::fmt::Display) -> Error {
    config.refuse(Code::ModelUnsupported, format!("expected {key} {expected}, got {got}"))
}
