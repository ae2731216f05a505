//! Views as slices. Whoever asks has checked them, as the contract of the op says.

use tunesmith_ops::{Call, DType, TypedBuffer as _, View, ViewMut};

use crate::buffer::{Buffer, Elements};

/// A call of `op` on this backend, whose activations are float32.
pub(crate) fn call(op: &'static str) -> Call {
    Call::new(op, DType::F32)
}

/// The elements of a view on float32; none of another dtype.
pub(crate) fn floats(view: View<'_, Buffer>) -> &[f32] {
    match view.buffer.elements() {
        Elements::F32(v) => &v[view.start..view.start + view.len],
        _ => &[],
    }
}

/// The elements of a writable view on float32; none of another dtype.
pub(crate) fn floats_mut(view: ViewMut<'_, Buffer>) -> &mut [f32] {
    match view.buffer.floats_mut() {
        Some(v) => &mut v[view.start..view.start + view.len],
        None => &mut [],
    }
}

/// The elements of a view on int32; none of another dtype.
pub(crate) fn integers(view: View<'_, Buffer>) -> &[i32] {
    match view.buffer.elements() {
        Elements::I32(v) => &v[view.start..view.start + view.len],
        _ => &[],
    }
}

/// The elements of a writable view on int32; none of another dtype.
pub(crate) fn integers_mut(view: ViewMut<'_, Buffer>) -> &mut [i32] {
    match view.buffer.integers_mut() {
        Some(v) => &mut v[view.start..view.start + view.len],
        None => &mut [],
    }
}

/// The elements of a writable view on bytes; none of another dtype.
pub(crate) fn bytes_mut(view: ViewMut<'_, Buffer>) -> &mut [u8] {
    if view.buffer.dtype() != DType::U8 {
        return &mut [];
    }
    &mut view.buffer.bytes_mut()[view.start..view.start + view.len]
}
