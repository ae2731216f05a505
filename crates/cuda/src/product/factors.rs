//! Factors of a product, as `struct Gemm` of `common/gemm.cuh` takes them.

use tunesmith_ops::{DType, TypedBuffer, View};

use crate::device::{Address, Buffer, Structure};

/// One factor: a row-major matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    pub(super) address: Address,
    pub(super) stride: usize,
    pub(super) dtype: DType,
}

impl Side {
    /// The matrix in a view, in rows of `stride`.
    pub(crate) fn of(view: View<'_, Buffer>, stride: usize) -> Self {
        Self { address: view.buffer.address_of(view.start), stride, dtype: view.buffer.dtype() }
    }

    /// The matrix that begins `elements` later.
    pub(crate) fn skip(self, elements: usize) -> Self {
        Self { address: self.address + (elements * self.dtype.size()) as Address, ..self }
    }

    /// Where it begins.
    pub(crate) fn address(self) -> Address {
        self.address
    }

    /// How its numbers are held.
    pub(crate) fn dtype(self) -> DType {
        self.dtype
    }

    /// True when its rows can be moved 16 bytes at a time.
    pub(super) fn aligned(self) -> bool {
        self.address.is_multiple_of(16) && (self.stride * self.dtype.size()).is_multiple_of(16)
    }
}

/// Two factors and the length of the axis between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors {
    pub(crate) a: Side,
    pub(crate) b: Side,
    pub(crate) reduced: usize,
}

impl Factors {
    pub(crate) fn put(this: Option<Self>, s: Structure) -> Structure {
        let Some(Self { a, b, reduced }) = this else {
            return s.pointer(0).pointer(0).long(0).long(0).int(0).int(0);
        };
        let aligned = usize::from(a.aligned()) + 2 * usize::from(b.aligned());
        s.pointer(a.address).pointer(b.address).long(a.stride).long(b.stride).int(reduced).int(aligned)
    }
}
