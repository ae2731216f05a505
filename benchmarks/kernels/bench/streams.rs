//! What the machine's memory gives the streams of an optimizer: each float32 array is read, all but the last are written too, and next to
//! nothing is computed.

use tunesmith_ops::{Backend, Result};

use super::{Bench, Work};

/// Elements of each array: as many as an adapter of rank 16 for 8 billion parameters has, far beyond any cache.
const ELEMENTS: usize = 40 << 20;

/// Times the streams of an optimizer that keeps nothing, one state or two: gradient, parameter and states, as `streams 0`, `1` and `2`.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    for states in 0..=2 {
        let name = format!("streams {states}");
        if bench.backend.name() != "cpu" || !bench.wants(&name) {
            continue;
        }
        let threads = bench.settings.threads;
        let gradient = bench.host(ELEMENTS, 1.0);
        let mut written: Vec<Vec<f32>> = (0..=states).map(|_| gradient.clone()).collect();
        let bytes = 4 * (1 + 2 * written.len()) * ELEMENTS;
        bench.time(&name, Work::Bytes(bytes), || {
            pass(threads, &gradient, &mut written);
            Ok(())
        })?;
    }
    Ok(())
}

/// One pass over all arrays, a part of each to a thread.
fn pass(threads: usize, gradient: &[f32], written: &mut [Vec<f32>]) {
    let part = gradient.len().div_ceil(threads.max(1));
    let mut arrays: Vec<_> = written.iter_mut().map(|array| array.chunks_mut(part)).collect();
    std::thread::scope(|scope| {
        for gradient in gradient.chunks(part) {
            let parts: Vec<&mut [f32]> = arrays.iter_mut().filter_map(Iterator::next).collect();
            scope.spawn(move || blocks(gradient, parts));
        }
    });
}

/// A thread's part, in blocks, so that all streams run side by side.
fn blocks(gradient: &[f32], parts: Vec<&mut [f32]>) {
    const BLOCK: usize = 1024;
    let mut parts: Vec<_> = parts.into_iter().map(|part| part.chunks_mut(BLOCK)).collect();
    for gradient in gradient.chunks(BLOCK) {
        for block in parts.iter_mut().filter_map(Iterator::next) {
            block.iter_mut().zip(gradient).for_each(|(x, g)| *x = *x * 0.5 + g);
        }
    }
}
