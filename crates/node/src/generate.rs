//! Generation: prompts in, tokens out as a stream.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{Function, Int32Array, Int32ArraySlice, Object};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use tunesmith_engine::{Finish, Request, Sampling, TokenEvent, TokenSink};
use tunesmith_ops::{Code, Error};

use crate::device::Engine;
use crate::engine_thread::Disposal;
use crate::error::{Failure, Outcome};
use crate::session::Session;

/// What to generate.
#[napi(object)]
pub struct GenerateOptions {
    /// Samples of each prompt.
    pub num_return_sequences: u32,
    /// Keep the log-probability of every token.
    pub log_probs: bool,
    /// Samples written at a time, at most; absent: the engine's choice.
    pub max_num_seqs: Option<u32>,
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

/// A flag that stops a generation after the token in hand, and those samples of it whose tokens are no longer wanted.
#[napi]
#[derive(Default)]
pub struct Cancellation {
    all: Arc<AtomicBool>,
    ended: EndedSamples,
}

/// Samples, by prompt and number, whose tokens are no longer wanted.
type EndedSamples = Arc<Mutex<HashSet<(usize, usize)>>>;

impl Cancellation {
    /// Whether it is set, asked from any thread.
    pub fn flag(&self) -> impl Fn() -> bool + Send + 'static {
        let flag = Arc::clone(&self.all);
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
        self.all.store(true, Ordering::Relaxed);
    }

    /// Ends a sample of a prompt: its slot goes to another one.
    #[napi(catch_unwind)]
    pub fn end_sample(&self, index: u32, sample: u32) {
        lock(&self.ended).insert((index as usize, sample as usize));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tokens that JavaScript has not taken yet, end to end: index, sample, token, finish (0 none, 1 stop, 2 length) and the bits of the
/// log-probability (those of 0 where it was not asked for). The thread that generates wakes JavaScript only when the queue was empty,
/// so tokens travel in as few calls as JavaScript keeps up with.
#[derive(Clone, Default)]
struct TokenQueue(Arc<Mutex<Vec<i32>>>);

impl TokenQueue {
    /// Adds a token; true when the queue was empty.
    fn push(&self, event: TokenEvent) -> bool {
        let TokenEvent { index, sample, token, log_prob, finish } = event;
        let finish = match finish {
            None => 0,
            Some(Finish::Stop) => 1,
            Some(Finish::Length) => 2,
        };
        let bits = log_prob.unwrap_or(0.0).to_bits().cast_signed();
        let mut events = lock(&self.0);
        let was_empty = events.is_empty();
        events.extend([index as i32, sample as i32, token, finish, bits]);
        was_empty
    }

    fn take(&self) -> Vec<i32> {
        std::mem::take(&mut *lock(&self.0))
    }
}

/// Puts tokens into the queue until JavaScript wants no more.
struct Sink<'a, W: Fn()> {
    queue: TokenQueue,
    wake: W,
    disposal: &'a Disposal,
    cancelled: Arc<AtomicBool>,
    ended: EndedSamples,
}

impl<W: Fn()> TokenSink for Sink<'_, W> {
    fn take(&mut self, event: TokenEvent) -> ControlFlow<()> {
        if self.queue.push(event) {
            (self.wake)();
        }
        if self.disposal.requested() || self.cancelled.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn has_ended(&mut self, index: usize, sample: usize) -> bool {
        lock(&self.ended).contains(&(index, sample))
    }
}

#[napi]
impl Session {
    /// Continues prompts (ids end to end, with the first id of each and the total), each by its samples. `on_tokens` gets the tokens as they come;
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
        let (cancelled, ended) = (Arc::clone(&cancellation.all), Arc::clone(&cancellation.ended));
        let rest = queue.clone();
        let work = move |engine: &mut Engine, disposal: &Disposal| {
            let wake = || {
                // JavaScript may be gone, and needs no tokens then.
                let _ = wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            };
            let mut sink = Sink { queue, wake, disposal, cancelled, ended };
            if !sink.cancelled.load(Ordering::Relaxed) {
                engine.generate(&request, &mut sink)?;
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
        samples: options.num_return_sequences as usize,
        log_probs: options.log_probs,
        slots: options.max_num_seqs.map(|slots| slots as usize),
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
