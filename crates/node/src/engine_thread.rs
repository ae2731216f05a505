//! One operating-system thread per engine, with a queue: calls happen in order and off the event loop, and a backend that binds
//! to its thread always finds the same one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use crate::error::{Failure, Outcome, guarded};
use crate::heap::return_freed_memory;

/// Stack of an engine thread in bytes: the depth of a call does not depend on the model, so this is ample.
const STACK_BYTES: usize = 8 << 20;

/// The engine, or why there is none any more.
type State<S> = Outcome<S>;
type Job<S> = Box<dyn FnOnce(&mut State<S>) + Send>;

/// What a running call can see of the outside.
#[derive(Clone, Default)]
pub struct Disposal(Arc<AtomicBool>);

impl Disposal {
    /// True once `dispose()` was called: a long call should stop.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The handle on an engine's thread. Dropping it lets the thread finish what is queued, free the engine and end.
pub struct EngineThread<S> {
    queue: Option<Sender<Job<S>>>,
    disposal: Disposal,
}

impl<S: 'static> EngineThread<S> {
    /// Starts a thread that opens an engine and serves it. `started` runs on that thread, once.
    ///
    /// # Errors
    /// When the system refuses a thread; `started` is not called then.
    pub fn start(
        open: impl FnOnce() -> Outcome<S> + Send + 'static,
        started: impl FnOnce(Outcome<(Self, &S)>) + Send + 'static,
    ) -> std::io::Result<()> {
        let builder = thread::Builder::new().name("tunesmith-engine".to_owned()).stack_size(STACK_BYTES);
        let serve = move || {
            match guarded("createSession", open) {
                Err(failure) => started(Err(failure)),
                Ok(engine) => {
                    let (queue, jobs) = mpsc::channel();
                    started(Ok((Self { queue: Some(queue), disposal: Disposal::default() }, &engine)));
                    run(engine, jobs);
                }
            }
            return_freed_memory();
        };
        builder.spawn(serve).map(drop)
    }

    /// Queues a call. `settle` is called exactly once, on the engine's thread or, when there is none any more, on this
    /// one.
    pub fn submit<T: 'static>(
        &self,
        place: &'static str,
        work: impl FnOnce(&mut S, &Disposal) -> Outcome<T> + Send + 'static,
        settle: impl FnOnce(Outcome<T>) + Send + 'static,
    ) {
        let Some(queue) = &self.queue else { return settle(Err(Failure::disposed(place))) };
        let disposal = self.disposal.clone();
        let job: Job<S> = Box::new(move |state| settle(call(place, state, &disposal, work)));
        if let Err(refused) = queue.send(job) {
            refused.0(&mut Err(Failure::disposed(place)));
        }
    }

    /// Ends the thread, which frees the engine as soon as the running call ends. Queued calls fail with `DISPOSED`. This does
    /// not wait: giving gigabytes back takes longer than an event loop should stand still.
    pub fn dispose(&mut self) {
        self.disposal.0.store(true, Ordering::Relaxed);
        self.queue = None;
    }
}

fn run<S>(engine: S, jobs: Receiver<Job<S>>) {
    let mut state = Ok(engine);
    for job in jobs {
        job(&mut state);
    }
}

/// One call on the engine. After a panic the engine is gone: what a half-done step left behind must not be trained on.
fn call<S, T>(
    place: &str,
    state: &mut State<S>,
    disposal: &Disposal,
    work: impl FnOnce(&mut S, &Disposal) -> Outcome<T>,
) -> Outcome<T> {
    if disposal.requested() {
        return Err(Failure::disposed(place));
    }
    let engine = state.as_mut().map_err(|failure| failure.clone())?;
    catch_unwind(AssertUnwindSafe(|| work(engine, disposal))).unwrap_or_else(|payload| {
        let failure = Failure::panicked(place, payload.as_ref());
        let later =
            format!("{}; this session cannot be used any more, create a new one from a checkpoint", failure.message);
        *state = Err(Failure { message: later, ..failure.clone() });
        Err(failure)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that says when it is freed.
    struct Probe {
        value: u32,
        _freed: Sender<()>,
    }

    fn start() -> (EngineThread<Probe>, Receiver<()>) {
        let (freed, on_freed) = mpsc::channel();
        let (started, on_started) = mpsc::channel();
        let open = move || Ok(Probe { value: 5, _freed: freed });
        EngineThread::start(open, move |outcome| started.send(outcome.map(|(thread, _)| thread)).unwrap()).unwrap();
        (on_started.recv().unwrap().unwrap(), on_freed)
    }

    fn ask<T: Send + 'static>(
        thread: &EngineThread<Probe>,
        work: impl FnOnce(&mut Probe, &Disposal) -> Outcome<T> + Send + 'static,
    ) -> Receiver<Outcome<T>> {
        let (settled, on_settled) = mpsc::channel();
        thread.submit("test", work, move |outcome| settled.send(outcome).unwrap());
        on_settled
    }

    #[test]
    fn calls_happen_in_order() {
        let (thread, _freed) = start();
        let answers: Vec<_> = (0..20)
            .map(|n| {
                ask(&thread, move |probe, _| {
                    probe.value = probe.value * 3 % 101 + n;
                    Ok(probe.value)
                })
            })
            .collect();
        let mut expected = 5;
        for (n, answer) in (0..20).zip(answers) {
            expected = expected * 3 % 101 + n;
            assert_eq!(answer.recv().unwrap(), Ok(expected));
        }
    }

    #[test]
    fn a_panic_rejects_and_the_engine_says_that_it_is_gone() {
        let (thread, freed) = start();
        let failure = ask::<()>(&thread, |_, _| panic!("injected")).recv().unwrap().unwrap_err();
        assert_eq!(failure.code, "INTERNAL");
        let later = ask(&thread, |probe, _| Ok(probe.value)).recv().unwrap().unwrap_err();
        assert!(later.message.contains("injected") && later.message.contains("create a new one"), "{later:?}");
        assert!(freed.recv().is_err(), "the engine is freed");
    }

    #[test]
    fn dispose_frees_the_engine_and_later_calls_fail() {
        let (mut thread, freed) = start();
        assert_eq!(ask(&thread, |probe, _| Ok(probe.value)).recv().unwrap(), Ok(5));
        thread.dispose();
        assert!(freed.recv().is_err(), "the engine is freed");
        assert_eq!(ask(&thread, |probe, _| Ok(probe.value)).recv().unwrap().unwrap_err().code, "DISPOSED");
        thread.dispose();
    }

    #[test]
    fn a_dropped_handle_lets_queued_calls_finish() {
        let (thread, freed) = start();
        let answer = ask(&thread, |probe, _| Ok(probe.value));
        drop(thread);
        assert_eq!(answer.recv().unwrap(), Ok(5));
        assert!(freed.recv().is_err());
    }

    #[test]
    fn dispose_stops_a_running_call_and_rejects_queued_ones() {
        let (mut thread, freed) = start();
        let (entered, on_entered) = mpsc::channel();
        let running = ask(&thread, move |_, disposal| {
            entered.send(()).unwrap();
            while !disposal.requested() {
                thread::yield_now();
            }
            Ok("stopped")
        });
        let queued = ask(&thread, |probe, _| Ok(probe.value));
        on_entered.recv().unwrap();
        thread.dispose();
        assert_eq!(running.recv().unwrap(), Ok("stopped"));
        assert_eq!(queued.recv().unwrap().unwrap_err().code, "DISPOSED");
        assert!(freed.recv().is_err());
    }

    #[test]
    fn an_engine_that_does_not_open_is_reported() {
        let (started, on_started) = mpsc::channel();
        let open = || -> Outcome<Probe> { panic!("no weights") };
        EngineThread::start(open, move |outcome| started.send(outcome.map(drop)).unwrap()).unwrap();
        assert_eq!(on_started.recv().unwrap().unwrap_err().code, "INTERNAL");
    }
}
