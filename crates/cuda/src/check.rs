//! Checks of windows: dtype, length, place, and how widely they can be moved.

use tunesmith_ops::{DType, Error, Result, View, ViewMut};

use crate::device::Buffer;

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

/// A window to read, checked.
pub(crate) fn read(op: &str, name: &str, view: View<'_, Buffer>, dtype: DType, len: usize) -> Result<()> {
    window(op, name, view, Some(dtype), len)
}

/// A window to write, checked.
pub(crate) fn write(op: &str, name: &str, view: &ViewMut<'_, Buffer>, dtype: DType, len: usize) -> Result<()> {
    window(op, name, view.as_view(), Some(dtype), len)
}

/// True when every window begins on a 16-byte boundary and rows of `row` bytes keep it: then packs of 16 bytes are moved.
pub(crate) fn wide(row: usize, windows: &[View<'_, Buffer>]) -> bool {
    row.is_multiple_of(16) && windows.iter().all(|view| view.buffer.address_of(view.start).is_multiple_of(16))
}
