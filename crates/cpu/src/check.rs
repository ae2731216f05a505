//! Views turned into slices, after checking dtype, length and place.

use tunesmith_ops::{DType, Result, View, ViewMut};

use crate::buffer::{Buffer, Elements};

/// A float32 view of `len` elements.
pub(crate) fn floats<'a>(op: &str, name: &str, view: View<'a, Buffer>, len: usize) -> Result<&'a [f32]> {
    view.check(op, name, Some(DType::F32), len)?;
    match view.buffer.elements() {
        Elements::F32(v) => Ok(&v[view.start..view.start + len]),
        _ => Ok(&[]),
    }
}

/// A writable float32 view of `len` elements.
pub(crate) fn floats_mut<'a>(op: &str, name: &str, view: ViewMut<'a, Buffer>, len: usize) -> Result<&'a mut [f32]> {
    view.as_view().check(op, name, Some(DType::F32), len)?;
    let floats = view.buffer.floats_mut().unwrap_or_default();
    Ok(&mut floats[view.start..view.start + len])
}

/// An int32 view of `len` elements.
pub(crate) fn integers<'a>(op: &str, name: &str, view: View<'a, Buffer>, len: usize) -> Result<&'a [i32]> {
    view.check(op, name, Some(DType::I32), len)?;
    match view.buffer.elements() {
        Elements::I32(v) => Ok(&v[view.start..view.start + len]),
        _ => Ok(&[]),
    }
}
