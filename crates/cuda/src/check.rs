//! Checks of views: dtype, length, place, and how widely they can be moved.

use tunesmith_ops::{DType, Result, View, ViewMut};

use crate::device::Buffer;

/// A view to read, checked.
pub(crate) fn read(op: &str, name: &str, view: View<'_, Buffer>, dtype: DType, len: usize) -> Result<()> {
    view.check(op, name, Some(dtype), len)
}

/// A view to write, checked.
pub(crate) fn write(op: &str, name: &str, view: &ViewMut<'_, Buffer>, dtype: DType, len: usize) -> Result<()> {
    view.as_view().check(op, name, Some(dtype), len)
}

/// True when every view begins on a 16-byte boundary and rows of `row` bytes keep it: then packs of 16 bytes are moved.
pub(crate) fn wide(row: usize, views: &[View<'_, Buffer>]) -> bool {
    row.is_multiple_of(16) && views.iter().all(|view| view.buffer.address_of(view.start).is_multiple_of(16))
}
