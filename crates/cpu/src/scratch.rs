//! Working memory of a thread, kept between tasks.

use std::cell::RefCell;

use crate::memory::Line;

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with `len` floats of unspecified content on a cache-line boundary. Calls may nest.
pub(crate) fn with<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut lines = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    let count = len.div_ceil(16);
    if lines.len() < count {
        lines.resize(count, bytemuck::Zeroable::zeroed());
    }
    let result = work(&mut bytemuck::cast_slice_mut(&mut lines)[..len]);
    FREE.with_borrow_mut(|free| free.push(lines));
    result
}
