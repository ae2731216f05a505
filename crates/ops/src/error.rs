//! The one error type of the engine's crates: a stable code, the place, and what to do.

use std::fmt;

/// Stable error codes. The text of a message may change; a code never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A file that should exist does not.
    FileMissing,
    /// A file exists but its content is not what its format promises.
    FileInvalid,
    /// A model family or feature that this version does not implement.
    ModelUnsupported,
    /// A model or adapter configuration that contradicts itself.
    ConfigInvalid,
    /// An argument outside its documented range.
    ArgumentInvalid,
    /// A weight, activation or gradient is NaN or infinite.
    NonFinite,
    /// Memory could not be had.
    OutOfMemory,
    /// A device that was asked for cannot be used here.
    DeviceUnavailable,
    /// The operating system refused a file operation.
    Io,
    /// A checkpoint does not match its manifest or this session.
    CheckpointInvalid,
    /// The caller asked to stop.
    Aborted,
    /// A defect of ours.
    Internal,
}

impl Code {
    /// The code as it appears in JavaScript (`error.code`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FileMissing => "FILE_MISSING",
            Self::FileInvalid => "FILE_INVALID",
            Self::ModelUnsupported => "MODEL_UNSUPPORTED",
            Self::ConfigInvalid => "CONFIG_INVALID",
            Self::ArgumentInvalid => "ARGUMENT_INVALID",
            Self::NonFinite => "NON_FINITE",
            Self::OutOfMemory => "OUT_OF_MEMORY",
            Self::DeviceUnavailable => "DEVICE_UNAVAILABLE",
            Self::Io => "IO",
            Self::CheckpointInvalid => "CHECKPOINT_INVALID",
            Self::Aborted => "ABORTED",
            Self::Internal => "INTERNAL",
        }
    }
}

/// An error: `[place] expected …, got …; what to do`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Stable code.
    pub code: Code,
    /// The op, file or room that noticed, without brackets.
    pub place: String,
    /// What was expected, what was got, and what to do.
    pub message: String,
}

impl Error {
    /// Builds an error from its three parts.
    pub fn new(code: Code, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, place: place.into(), message: message.into() }
    }

    /// An argument that breaks an op's contract.
    pub fn argument(place: &str, expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self::new(Code::ArgumentInvalid, place, format!("expected {expected}, got {got}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.place, self.message)
    }
}

impl std::error::Error for Error {}

/// Result with the crate's error.
pub type Result<T> = std::result::Result<T, Error>;
