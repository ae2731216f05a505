//! Buffers: elements of one dtype in a block of device memory.

use tunesmith_ops::{DType, TypedBuffer, View, ViewMut};

use super::driver::Address;
use super::pool::Block;

/// An allocation of the CUDA backend: elements of one dtype.
#[derive(Debug)]
pub struct Buffer {
    block: Block,
    dtype: DType,
    len: usize,
}

impl TypedBuffer for Buffer {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Buffer {
    /// `len` elements of `dtype` in a block that has room for them.
    pub(super) fn new(dtype: DType, len: usize, block: Block) -> Self {
        Self { block, dtype, len }
    }

    /// Where element `index` lies.
    pub(crate) fn address_of(&self, index: usize) -> Address {
        self.block.address() + (index * self.dtype.size()) as Address
    }

    /// All of it.
    pub(crate) fn view(&self) -> View<'_, Self> {
        View::new(self, 0, self.len)
    }

    /// All of it, writable.
    pub(crate) fn view_mut(&mut self) -> ViewMut<'_, Self> {
        let len = self.len;
        ViewMut::new(self, 0, len)
    }
}
