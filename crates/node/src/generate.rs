//! Generation: prompts in, tokens out as a stream.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{Function, Int32Array, Int32ArraySlice, Object};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use tunesmith_engine::{Finish, Request, Sampling, TokenEvent};
use tunesmith_ops::{Code, Error};

use crate::device::Engine;
use crate::engine_thread::Disposal;
use crate::error::{Failure, Outcome};
use crate::session::Session;

/// What to generate.
#[napi(object)]
pub struct GenerateOptions {
    /// Tokens to write at most.
    pub max_new_tokens: u32,
    /// 0 is greedy.
    pub temperature: f64,
    /// 0 keeps all.
    pub top_k: u32,
    /// 1 keeps all.
    pub top_p: f64,
    /// 0 keeps all.
    pub min_p: f64,
    /// 1 changes nothing.
    pub repetition_penalty: f64,
    /// An integer from 0.
    pub seed: f64,
    /// Tokens that end a sequence.
    pub stop_token_ids: Vec<i32>,
}

/// A flag that stops a generation after the token in hand.
#[napi]
#[derive(Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Whether it is set, asked from any thread.
    pub fn flag(&self) -> impl Fn() -> bool + Send + 'static {
        let flag = Arc::clone(&self.0);
        move || flag.load(Ordering::Relaxed)
    }
}

#[napi]
impl Cancellation {
    /// A flag that is not set.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets it, for good.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Tokens that JavaScript has not taken yet: index, token and finish (0 none, 1 stop, 2 length) of each, end to end. The thread
/// that generates wakes JavaScript only when the queue was empty, so tokens travel in as few calls as JavaScript keeps up with.
#[derive(Clone, Default)]
struct TokenQueue(Arc<Mutex<Vec<i32>>>);

impl TokenQueue {
    /// Adds a token; true when the queue was empty.
    fn push(&self, event: TokenEvent) -> bool {
        let finish = match event.finish {
            None => 0,
            Some(Finish::Stop) => 1,
            Some(Finish::Length) => 2,
        };
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = events.is_empty();
        events.extend([event.index as i32, event.token, finish]);
        was_empty
    }

    fn take(&self) -> Vec<i32> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[napi]
impl Session {
    /// Continues prompts (ids end to end, with the first id of each and the total). `on_tokens` gets the tokens as they come;
    /// the promise gives those it did not get.
    #[napi(catch_unwind, ts_return_type = "Promise<Int32Array>")]
    pub fn generate<'env>(
        &self,
        env: &'env Env,
        prompt_ids: Int32ArraySlice<'_>,
        prompt_starts: Int32ArraySlice<'_>,
        options: GenerateOptions,
        #[napi(ts_arg_type = "(tokens: Int32Array) => void")] on_tokens: Function<'_, Int32Array, ()>,
        cancellation: &Cancellation,
    ) -> napi::Result<Object<'env>> {
        let request = request(&prompt_ids, &prompt_starts, options).map_err(|failure| failure.into_js(*env))?;
        let queue = TokenQueue::default();
        let taken = queue.clone();
        let wake =
            on_tokens.build_threadsafe_function::<()>().build_callback(move |_| Ok(Int32Array::new(taken.take())))?;
        let cancelled = Arc::clone(&cancellation.0);
        let rest = queue.clone();
        let work = move |engine: &mut Engine, disposal: &Disposal| {
            let mut emit = |event| {
                if queue.push(event) {
                    // JavaScript may be gone, and needs no tokens then.
                    let _ = wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
                }
                if disposal.requested() || cancelled.load(Ordering::Relaxed) {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            };
            if !cancelled.load(Ordering::Relaxed) {
                engine.generate(&request, &mut emit)?;
            }
            if disposal.requested() { Err(Failure::disposed("generate")) } else { Ok(()) }
        };
        self.call(env, "generate", work, move |_, ()| Ok(Int32Array::new(rest.take())))
    }
}

fn request(ids: &[i32], starts: &[i32], options: GenerateOptions) -> Outcome<Request> {
    let prompts = starts.windows(2).map(|ends| {
        let range = usize::try_from(ends[0]).ok().zip(usize::try_from(ends[1]).ok());
        range.and_then(|(start, end)| ids.get(start..end)).map(<[i32]>::to_vec)
    });
    let prompts = prompts.collect::<Option<Vec<_>>>().ok_or_else(|| {
        let message = format!("expected ascending starts up to {}, got {starts:?}", ids.len());
        Failure::from(Error::new(Code::ArgumentInvalid, "generate.prompts", message))
    })?;
    Ok(Request {
        prompts,
        max_new_tokens: options.max_new_tokens as usize,
        sampling: Sampling {
            temperature: options.temperature,
            top_k: options.top_k as usize,
            top_p: options.top_p,
            min_p: options.min_p,
            repetition_penalty: options.repetition_penalty,
            seed: options.seed as u64,
        },
        stop_tokens: options.stop_token_ids,
    })
}
