//! A map over a slice on several threads, results in order.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Items a thread takes at a time: enough that the counter costs nothing, few enough that long rows spread.
const CHUNK: usize = 8;

/// Applies `work` to every item. `threads` 0 means one per processor.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let wanted = if threads == 0 { thread::available_parallelism().map_or(1, NonZero::get) } else { threads };
    let threads = wanted.min(items.len().div_ceil(CHUNK));
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(rest) = items.get(from..).filter(|rest| !rest.is_empty()) else { return done };
            done.push((from, rest.iter().take(CHUNK).map(&work).collect::<Vec<R>>()));
        }
    };
    let mut chunks = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
        let finished = workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        finished.collect::<Vec<_>>()
    });
    chunks.sort_unstable_by_key(|(from, _)| *from);
    chunks.into_iter().flat_map(|(_, results)| results).collect()
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
