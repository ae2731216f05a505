//! One output that several tasks write in disjoint tiles.

use std::marker::PhantomData;

/// A rectangle of a row-major matrix that a product writes.
pub(crate) struct Target<'a> {
    pub(crate) pointer: *mut f32,
    /// Elements that may be touched from `pointer` on.
    pub(crate) len: usize,
    /// Elements from one row to the next.
    pub(crate) stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

impl<'a> Target<'a> {
    /// The matrix in `slice` with `stride` elements a row.
    pub(crate) fn new(slice: &'a mut [f32], stride: usize) -> Self {
        Self { pointer: slice.as_mut_ptr(), len: slice.len(), stride, owner: PhantomData }
    }

    /// The same rectangle, borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Target<'_> {
        Target { owner: PhantomData, ..*self }
    }
}

/// A row-major matrix shared by tasks.
pub(crate) struct SharedMatrix<'a> {
    pointer: *mut f32,
    len: usize,
    stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: the only access is through `tile`, whose callers promise disjoint rectangles.
unsafe impl Sync for SharedMatrix<'_> {}

impl<'a> SharedMatrix<'a> {
    /// Shares `slice` as a matrix with `stride` elements a row.
    pub(crate) fn new(slice: &'a mut [f32], stride: usize) -> Self {
        Self { pointer: slice.as_mut_ptr(), len: slice.len(), stride, owner: PhantomData }
    }

    /// The rectangle whose first element is (`row`, `column`).
    ///
    /// # Safety
    /// No element that is used of the rectangle may be in use through another one.
    pub(crate) unsafe fn tile(&self, row: usize, column: usize) -> Target<'_> {
        let offset = row * self.stride + column;
        assert!(offset <= self.len, "a tile must begin inside its matrix");
        Target {
            // SAFETY: `offset` lies inside the slice or at its end, as asserted.
            pointer: unsafe { self.pointer.add(offset) },
            len: self.len - offset,
            stride: self.stride,
            owner: PhantomData,
        }
    }
}

impl Target<'_> {
    /// The rectangle from (`row`, `column`) on.
    pub(crate) fn part(&mut self, row: usize, column: usize) -> Target<'_> {
        let offset = row * self.stride + column;
        assert!(offset <= self.len, "a part must begin inside its tile");
        Target {
            // SAFETY: inside the memory of the tile, as asserted.
            pointer: unsafe { self.pointer.add(offset) },
            len: self.len - offset,
            stride: self.stride,
            owner: PhantomData,
        }
    }

    /// The first `columns` elements of a row.
    pub(crate) fn row(&mut self, row: usize, columns: usize) -> &mut [f32] {
        assert!(row * self.stride + columns <= self.len, "a row must lie inside its tile");
        // SAFETY: inside the memory of the tile as asserted, and exclusive by the promise made when the tile was taken.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(row * self.stride), columns) }
    }
}
