//! Promises that are settled from other threads.

use std::convert::Infallible;
use std::thread;

use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, JsDeferred};
use tunesmith_ops::{Code, Error};

use crate::error::{Failure, Outcome, guarded};

type Resolver<J> = Box<dyn FnOnce(Env) -> napi::Result<J> + Send>;

/// A promise's other end. `J` is what JavaScript gets.
pub struct Deferred<J: ToNapiValue + 'static>(JsDeferred<J, Resolver<J>>);

// A derived implementation would ask for `J: Clone`.
impl<J: ToNapiValue + 'static> Clone for Deferred<J> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<J: ToNapiValue + 'static> Deferred<J> {
    /// The two ends.
    ///
    /// # Errors
    /// What Node reports when no promise can be made.
    pub fn new(env: &Env) -> napi::Result<(Self, Object<'_>)> {
        let (deferred, promise) = env.create_deferred()?;
        Ok((Self(deferred), promise))
    }

    /// Settles the promise from any thread. `into_js` runs on the JavaScript thread.
    pub fn settle<T: Send + 'static>(
        self,
        outcome: Outcome<T>,
        into_js: impl FnOnce(Env, T) -> napi::Result<J> + Send + 'static,
    ) {
        self.0.resolve(Box::new(move |env| match outcome {
            Ok(value) => into_js(env, value),
            Err(failure) => Err(failure.into_js(env)),
        }));
    }

    /// Rejects the promise.
    pub fn reject(self, failure: Failure) {
        self.settle(Err::<Infallible, _>(failure), |_, never| match never {});
    }
}

/// Runs `work` on a thread that lives as long as it does; the promise gets what it gives.
///
/// # Errors
/// What Node reports when no promise can be made.
pub fn in_background<'env, T: Send + 'static, J: ToNapiValue + 'static>(
    env: &'env Env,
    place: &'static str,
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
    into_js: impl FnOnce(Env, T) -> napi::Result<J> + Send + 'static,
) -> napi::Result<Object<'env>> {
    let (deferred, promise) = Deferred::new(env)?;
    let settled = deferred.clone();
    let spawned = thread::Builder::new()
        .name(format!("tunesmith-{place}"))
        .spawn(move || settled.settle(guarded(place, work), into_js));
    if let Err(error) = spawned {
        deferred.reject(no_thread(place, &error));
    }
    Ok(promise)
}

/// The system refused a thread.
pub fn no_thread(place: &str, error: &std::io::Error) -> Failure {
    Error::new(Code::OutOfMemory, place, format!("expected a thread, got {error}; close other sessions")).into()
}
