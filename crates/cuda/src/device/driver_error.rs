//! What the CUDA driver answers, as an error of ours.

use cudarc::driver::DriverError;
use tunesmith_ops::{Code, Error};

/// The error of a device that cannot be opened.
pub(super) fn unavailable(expected: &str, got: impl std::fmt::Display, advice: &str) -> Error {
    Error::new(Code::DeviceUnavailable, "cuda", format!("expected {expected}, got {got}; {advice}"))
}

/// An error as the driver calls it.
pub(super) fn error_name(error: DriverError) -> String {
    error.error_name().map_or("an unknown error".into(), |name| name.to_string_lossy().into_owned())
}

/// The error of a call that is never refused by a device in order.
pub(super) fn failed(call: &str) -> impl Fn(DriverError) -> Error + '_ {
    move |error| {
        let name = error_name(error);
        let advice = "the device cannot be used any more by this process; start again from the last checkpoint";
        Error::new(Code::Internal, "cuda", format!("expected {call} to succeed, got {name}; {advice}"))
    }
}
