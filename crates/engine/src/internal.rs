//! The error of a state that only a bug of ours can reach.

use tunesmith_ops::{Code, Error};

/// `Internal` at a place, with what was expected there.
pub(crate) fn internal(place: &str, expected: &str) -> Error {
    Error::new(Code::Internal, place, format!("expected {expected}; please report this"))
}
