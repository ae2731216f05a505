//! How widely the views of a launch can be moved.

use tunesmith_ops::View;

use crate::device::Buffer;

/// True when every view begins on a 16-byte boundary and rows of `row` bytes keep it: then packs of 16 bytes are moved.
pub(crate) fn wide(row: usize, views: &[View<'_, Buffer>]) -> bool {
    row.is_multiple_of(16) && views.iter().all(|view| view.buffer.address_of(view.start).is_multiple_of(16))
}
