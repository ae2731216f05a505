//! Buffers that live as long as a session and grow with the largest batch seen.

use tunesmith_ops::{DType, Memory, Result, View, ViewMut};

/// A floating-point buffer that keeps its memory between steps.
pub struct WorkspaceBuffer<B: Memory> {
    buffer: Option<B::Buffer>,
    capacity: usize,
    dtype: DType,
}

impl<B: Memory> WorkspaceBuffer<B> {
    /// An empty buffer in the backend's activation dtype.
    pub fn new(backend: &B) -> Self {
        Self::of(backend.activation_dtype())
    }

    /// An empty buffer of a given dtype.
    pub fn of(dtype: DType) -> Self {
        Self { buffer: None, capacity: 0, dtype }
    }

    /// Makes room for `len` elements. Content is kept only when nothing has to grow.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn reserve(&mut self, backend: &B, len: usize) -> Result<()> {
        if self.buffer.is_none() || len > self.capacity {
            // The old memory goes first, so that growing never holds both.
            self.buffer = None;
            self.buffer = Some(backend.zeros(self.dtype, len)?);
            self.capacity = len;
        }
        Ok(())
    }

    /// Makes room and gives the first `len` elements to write.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn write(&mut self, backend: &B, len: usize) -> Result<ViewMut<'_, B::Buffer>> {
        self.reserve(backend, len)?;
        self.view_mut(len)
    }

    /// The first `len` elements, which were reserved before.
    ///
    /// # Errors
    /// `Internal` when they were not.
    pub fn view_mut(&mut self, len: usize) -> Result<ViewMut<'_, B::Buffer>> {
        let capacity = self.capacity;
        match &mut self.buffer {
            Some(buffer) if len <= capacity => Ok(ViewMut::new(buffer, 0, len)),
            _ => Err(missing(len, capacity)),
        }
    }

    /// The first `len` elements, which were written before.
    ///
    /// # Errors
    /// `Internal` when they were not.
    pub fn view(&self, len: usize) -> Result<View<'_, B::Buffer>> {
        match &self.buffer {
            Some(buffer) if len <= self.capacity => Ok(View::new(buffer, 0, len)),
            _ => Err(missing(len, self.capacity)),
        }
    }

    /// Gives the memory back.
    pub fn release(&mut self) {
        self.buffer = None;
        self.capacity = 0;
    }
}

fn missing(len: usize, capacity: usize) -> tunesmith_ops::Error {
    tunesmith_ops::Error::new(
        tunesmith_ops::Code::Internal,
        "workspace",
        format!("expected at least {len} elements reserved, got {capacity}"),
    )
}
