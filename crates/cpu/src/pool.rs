//! The threads of the backend: tasks handed out from one counter, the calling thread working along.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tunesmith_ops::{Code, Error, Result};

/// Turns a waiting thread spins before it sleeps: about 0.2 ms, longer than the gap between two ops of a layer and than the last
/// tasks of an op end apart, and shorter than anything a neighbour on the same cores would notice.
const SPINS: u32 = 10_000;

/// One parallel loop, living on the caller's stack for as long as `State::job` names it or `inside` is not zero.
struct Job<'a> {
    task: &'a (dyn Fn(usize) + Sync),
    count: usize,
    next: AtomicUsize,
    panic: Mutex<Option<String>>,
}

impl Job<'_> {
    /// Takes tasks until none is left. A panic ends the loop for every thread and is kept for the caller.
    fn work(&self) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                return;
            }
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.task)(index))) {
                self.next.store(self.count, Ordering::Relaxed);
                *lock(&self.panic) = Some(message(payload.as_ref()));
            }
        }
    }
}

/// A job whose borrow the compiler cannot see across threads.
#[derive(Clone, Copy)]
struct JobPointer(*const Job<'static>);
// SAFETY: a job holds a `Sync` closure and atomics only.
unsafe impl Send for JobPointer {}

#[derive(Default)]
struct State {
    job: Option<JobPointer>,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Counts jobs; watched by spinning workers.
    epoch: AtomicUsize,
    /// Workers that may still touch the current job.
    inside: AtomicUsize,
    caller_sleeps: AtomicBool,
    work: Condvar,
    done: Condvar,
}

/// A fixed set of threads.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    submit: Mutex<()>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} threads)", self.threads())
    }
}

impl Pool {
    /// A pool of `threads` threads, of which the caller of [`Pool::run`] is one.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let mut pool = Self { shared: Arc::default(), workers: Vec::new(), submit: Mutex::default() };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let worker = std::thread::Builder::new()
                .name(format!("tunesmith-cpu-{index}"))
                .spawn(move || worker(&shared))
                .map_err(|e| {
                    let text = format!("expected {threads} threads, got {e} at thread {index}; ask for fewer");
                    Error::new(Code::OutOfMemory, "cpu", text)
                })?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(0) … task(count − 1)`, in any order and on any thread, and returns when all are done.
    ///
    /// # Errors
    /// `Internal` when a task panicked.
    pub(crate) fn run(&self, count: usize, task: impl Fn(usize) + Sync) -> Result<()> {
        let job = Job { task: &task, count, next: AtomicUsize::new(0), panic: Mutex::default() };
        if count <= 1 || self.workers.is_empty() {
            job.work();
        } else {
            let _one_at_a_time = lock(&self.submit);
            self.publish(&job);
            job.work();
            self.retire();
        }
        match lock(&job.panic).take() {
            None => Ok(()),
            Some(text) => Err(Error::new(
                Code::Internal,
                "cpu",
                format!("expected every task to finish, got a panic: {text}; please report it"),
            )),
        }
    }

    /// Runs `task(i, item)` for every item. The items carry the parts of the output each task may write.
    ///
    /// # Errors
    /// `Internal` when a task panicked.
    pub(crate) fn each<T: Send>(&self, items: impl Iterator<Item = T>, task: impl Fn(usize, T) + Sync) -> Result<()> {
        let items: Vec<Mutex<Option<T>>> = items.map(|item| Mutex::new(Some(item))).collect();
        self.run(items.len(), |index| {
            if let Some(item) = lock(&items[index]).take() {
                task(index, item);
            }
        })
    }

    fn publish(&self, job: &Job<'_>) {
        let pointer = std::ptr::from_ref(job).cast::<Job<'static>>();
        lock(&self.shared.state).job = Some(JobPointer(pointer));
        self.shared.epoch.fetch_add(1, Ordering::Release);
        self.shared.work.notify_all();
    }

    /// Lets no further worker in and waits for those inside.
    fn retire(&self) {
        let shared = &*self.shared;
        lock(&shared.state).job = None;
        for _ in 0..SPINS {
            if shared.inside.load(Ordering::Acquire) == 0 {
                return;
            }
            std::hint::spin_loop();
        }
        shared.caller_sleeps.store(true, Ordering::SeqCst);
        let mut state = lock(&shared.state);
        while shared.inside.load(Ordering::SeqCst) != 0 {
            state = wait(&shared.done, state);
        }
        drop(state);
        shared.caller_sleeps.store(false, Ordering::SeqCst);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.state).stop = true;
        self.shared.epoch.fetch_add(1, Ordering::Release);
        self.shared.work.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches every panic of its tasks, so joining cannot fail; nothing could be done about it here.
            let _ = worker.join();
        }
    }
}

fn worker(shared: &Shared) {
    let mut seen = 0;
    loop {
        let Some(job) = next_job(shared, &mut seen) else {
            return;
        };
        // SAFETY: `inside` was raised under the lock while the job was published, and the caller keeps the job alive
        // until `inside` is zero again.
        unsafe { &*job.0 }.work();
        if shared.inside.fetch_sub(1, Ordering::SeqCst) == 1 && shared.caller_sleeps.load(Ordering::SeqCst) {
            drop(lock(&shared.state));
            shared.done.notify_all();
        }
    }
}

/// Waits for a job that this worker has not seen and enters it; None when the pool stops.
fn next_job(shared: &Shared, seen: &mut usize) -> Option<JobPointer> {
    let mut spins = 0;
    loop {
        while shared.epoch.load(Ordering::Acquire) == *seen && spins < SPINS {
            std::hint::spin_loop();
            spins += 1;
        }
        let mut state = lock(&shared.state);
        while shared.epoch.load(Ordering::Acquire) == *seen && !state.stop {
            state = wait(&shared.work, state);
        }
        if state.stop {
            return None;
        }
        *seen = shared.epoch.load(Ordering::Acquire);
        if let Some(job) = state.job {
            shared.inside.fetch_add(1, Ordering::SeqCst);
            return Some(job);
        }
        spins = 0;
    }
}

/// Locks; a lock poisoned by a panic guards nothing that a panic can leave half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_and_a_panic_becomes_an_error_that_leaves_the_pool_usable() {
        for threads in [1, 3] {
            let pool = Pool::new(threads).expect("threads");
            let mut counts = vec![0; 1000];
            pool.each(counts.iter_mut(), |_, count| *count += 1).expect("no panic");
            assert!(counts.iter().all(|&count| count == 1));
            let error = pool.run(10, |i| assert_ne!(i, 7, "seven")).expect_err("a panic");
            assert_eq!(error.code, Code::Internal);
            assert!(error.message.contains("seven"), "{error}");
            pool.run(10, |_| ()).expect("no panic");
        }
    }

    #[test]
    fn a_pool_that_slept_wakes_up() {
        let pool = Pool::new(2).expect("threads");
        for _ in 0..20 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            let done = AtomicUsize::new(0);
            pool.run(64, |_| {
                done.fetch_add(1, Ordering::Relaxed);
            })
            .expect("no panic");
            assert_eq!(done.into_inner(), 64);
        }
    }
}
