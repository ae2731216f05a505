//! Windows turned into slices, after checking dtype, length and place.

use tunesmith_ops::{DType, Error, Result, View, ViewMut};

use crate::buffer::{Buffer, Elements};

/// Checks that a window has `len` elements of `dtype` (where given) and lies in its buffer.
pub(crate) fn window(op: &str, name: &str, view: View<'_, Buffer>, dtype: Option<DType>, len: usize) -> Result<()> {
    let (start, has) = (view.start, view.buffer.len());
    if let Some(dtype) = dtype
        && view.buffer.dtype() != dtype
    {
        return Err(Error::argument(op, format!("{name} of {dtype}"), view.buffer.dtype()));
    }
    if view.len != len {
        return Err(Error::argument(op, format!("{len} elements in {name}"), view.len));
    }
    match start.checked_add(len) {
        Some(end) if end <= has => Ok(()),
        _ => Err(Error::argument(
            op,
            format!("{name} inside its buffer of {has} elements"),
            format!("{len} elements from {start}"),
        )),
    }
}

/// A binary32 window of `len` elements.
pub(crate) fn floats<'a>(op: &str, name: &str, view: View<'a, Buffer>, len: usize) -> Result<&'a [f32]> {
    window(op, name, view, Some(DType::F32), len)?;
    match view.buffer.elements() {
        Elements::F32(v) => Ok(&v[view.start..view.start + len]),
        _ => Ok(&[]),
    }
}

/// A writable binary32 window of `len` elements.
pub(crate) fn floats_mut<'a>(op: &str, name: &str, view: ViewMut<'a, Buffer>, len: usize) -> Result<&'a mut [f32]> {
    window(op, name, view.as_view(), Some(DType::F32), len)?;
    let floats = view.buffer.floats_mut().unwrap_or_default();
    Ok(&mut floats[view.start..view.start + len])
}

/// An int32 window of `len` elements.
pub(crate) fn integers<'a>(op: &str, name: &str, view: View<'a, Buffer>, len: usize) -> Result<&'a [i32]> {
    window(op, name, view, Some(DType::I32), len)?;
    match view.buffer.elements() {
        Elements::I32(v) => Ok(&v[view.start..view.start + len]),
        _ => Ok(&[]),
    }
}

/// A writable int32 window of `len` elements.
pub(crate) fn integers_mut<'a>(op: &str, name: &str, view: ViewMut<'a, Buffer>, len: usize) -> Result<&'a mut [i32]> {
    window(op, name, view.as_view(), Some(DType::I32), len)?;
    let integers = view.buffer.integers_mut().unwrap_or_default();
    Ok(&mut integers[view.start..view.start + len])
}
