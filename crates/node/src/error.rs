//! Errors on their way to JavaScript: a stable code and a message. The TypeScript side makes its typed errors of them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::{Env, JsValue};
use tunesmith_ops::{Code, Error};
use tunesmith_text::TextError;

/// A failure as plain data, able to cross threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `error.code` in JavaScript.
    pub code: &'static str,
    /// `[place] expected …, got …; what to do`.
    pub message: String,
}

/// Result with a failure that can cross threads.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A call on something that was disposed.
    pub fn disposed(place: &str) -> Self {
        Self {
            code: "DISPOSED",
            message: format!("[{place}] expected a live session, got one after dispose(); create a new one"),
        }
    }

    /// A panic, which is a defect of ours.
    pub fn panicked(place: &str, payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Error::new(Code::Internal, place, format!("expected the call to finish, got a panic: {text}; please report it"))
            .into()
    }

    /// The JavaScript error with its `code`. Runs on the JavaScript thread.
    pub fn into_js(self, env: Env) -> napi::Error {
        let with_code = || {
            let mut object = env.create_error(napi::Error::from_reason(&self.message))?;
            object.set("code", self.code)?;
            Ok(napi::Error::from(object.to_unknown()))
        };
        with_code().unwrap_or_else(|error: napi::Error| error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: error.code.as_str(), message: error.to_string() }
    }
}

impl From<TextError> for Failure {
    fn from(error: TextError) -> Self {
        Self { code: error.code, message: error.message }
    }
}

/// Runs work on any thread and turns a panic into a failure.
pub fn guarded<T>(place: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(Failure::panicked(place, payload.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_internal_failure() {
        let failure = guarded::<()>("somewhere", || panic!("seven {}", 7)).unwrap_err();
        assert_eq!(failure.code, "INTERNAL");
        assert!(failure.message.starts_with("[somewhere] ") && failure.message.contains("seven 7"), "{failure:?}");
        let failure = guarded::<()>("somewhere", || std::panic::panic_any(3)).unwrap_err();
        assert!(failure.message.contains("no message"), "{failure:?}");
    }

    #[test]
    fn codes_come_from_the_crates_below() {
        let failure = Failure::from(Error::argument("batch.labels", "3 values", 4));
        assert_eq!(failure.code, "ARGUMENT_INVALID");
        assert_eq!(failure.message, "[batch.labels] expected 3 values, got 4");
    }
}
