//! Panics of the tokenizer and template libraries become errors. Crafted tokenizer files make tokenizers panic at load
//! and at encode; a panic that reached the Node binding would end the process.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::error::{Result, TextError};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and turns a panic into an error made by `error` (place, what). The panic is not printed; panics
/// elsewhere are printed as before.
pub(crate) fn guarded<T>(
    place: &str,
    error: fn(&str, &str) -> TextError,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    install_quiet_hook();
    let before = GUARDED.replace(true);
    // Nothing observable is left half-written: `work` borrows the tokenizer immutably or builds a new one.
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    outcome.unwrap_or_else(|payload| {
        let reason = panic_text(payload.as_ref());
        Err(error(
            place,
            &format!("expected a sound model file, got a failure inside the library ({reason}); fetch the file again"),
        ))
    })
}

/// Installed once and chained: a hook swapped around every call would race between threads.
fn install_quiet_hook() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                previous(info);
            }
        }));
    });
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::guarded;
    use crate::error::TextError;

    #[test]
    fn a_panic_becomes_an_error_and_a_value_passes() {
        let error = guarded::<()>("here", TextError::tokenizer, || panic!("boom {}", 1)).unwrap_err();
        assert_eq!(error.code, "TOKENIZER_INVALID");
        assert!(error.message.starts_with("[here] ") && error.message.contains("boom 1"));
        assert_eq!(guarded("here", TextError::tokenizer, || Ok(3)).unwrap(), 3);
    }
}
