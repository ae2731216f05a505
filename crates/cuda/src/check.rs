//! Checks of windows: dtype, length, place, and how widely they can be moved.

use tunesmith_ops::{DType, Result, View, ViewMut};

use crate::device::Buffer;

/// A window to read, checked.
pub(crate) fn read(op: &str, name: &str, view: View<'_, Buffer>, dtype: DType, len: usize) -> Result<()> {
    view.check(op, name, Some(dtype), len)
}

/// A window to write, checked.
pub(crate) fn write(op: &str, name: &str, view: &ViewMut<'_, Buffer>, dtype: DType, len: usize) -> Result<()> {
    view.as_view().check(op, name, Some(dtype), len)
}

/// True when every window begins on a 16-byte boundary and rows of `row` bytes keep it: then packs of 16 bytes are moved.
pub(crate) fn wide(row: usize, windows: &[View<'_, Buffer>]) -> bool {
    row.is_multiple_of(16) && windows.iter().all(|view| view.buffer.address_of(view.start).is_multiple_of(16))
}
