//! Work on threads of our own: a map over a slice with results in order, and one call with room on the stack.
//!
//! A chat template runs as deep as its budget allows, in debug builds as well. The threads' stacks are sized for that; of
//! a stack only the pages in use take memory.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};

/// Stack of a thread that renders, in bytes: 128 KiB for each of the 2,000 levels that expressions, blocks and macros may
/// run deep.
const STACK: usize = 256 << 20;
/// Items a thread takes at a time: enough that the counter costs nothing, few enough that long rows spread.
const CHUNK: usize = 8;

/// Applies `work` to every item. `threads` 0 means one per processor.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let wanted = if threads == 0 { thread::available_parallelism().map_or(1, NonZero::get) } else { threads };
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(rest) = items.get(from..).filter(|rest| !rest.is_empty()) else { return done };
            done.push((from, rest.iter().take(CHUNK).map(&work).collect::<Vec<R>>()));
        }
    };
    let count = wanted.min(items.len().div_ceil(CHUNK));
    let mut chunks: Vec<(usize, Vec<R>)> = thread::scope(|scope| {
        let started: Vec<_> = (0..count).map(|_| start(scope, &take)).collect();
        started.into_iter().flat_map(|thread| thread.map_or_else(|_| take(), join)).collect()
    });
    chunks.sort_unstable_by_key(|(from, _)| *from);
    chunks.into_iter().flat_map(|(_, results)| results).collect()
}

/// Runs `work` on a thread with a large stack; here, where a thread cannot be had.
pub(crate) fn run<R: Send>(work: impl Fn() -> R + Sync) -> R {
    thread::scope(|scope| start(scope, &work).map_or_else(|_| work(), join))
}

fn start<'scope, R: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: &'scope (impl Fn() -> R + Sync),
) -> io::Result<ScopedJoinHandle<'scope, R>> {
    Builder::new().stack_size(STACK).spawn_scoped(scope, work)
}

fn join<R>(thread: ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_come_in_order() {
        let items: Vec<usize> = (0..1001).collect();
        let doubled: Vec<usize> = items.iter().map(|item| item * 2).collect();
        for threads in [0, 1, 3] {
            assert_eq!(map(&items, threads, |item| item * 2), doubled);
        }
        assert!(map(&[] as &[usize], 4, |item| *item).is_empty());
    }
}
