//! Working memory of a thread, kept between tasks.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::buffer::Line;

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Floats on a cache-line boundary, given back to the thread when dropped.
pub(crate) struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

/// `len` floats of unspecified content.
pub(crate) fn take(len: usize) -> Scratch {
    let mut lines = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    let count = (len * size_of::<f32>()).div_ceil(size_of::<Line>());
    if lines.len() < count {
        lines.resize(count, bytemuck::Zeroable::zeroed());
    }
    Scratch { lines, len }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        FREE.with_borrow_mut(|free| free.push(lines));
    }
}
