//! Where numbers live: an opaque buffer per backend, and borrowed views on it.

use crate::dtype::DType;
use crate::error::{Error, Result};

/// Numbers in host memory, to be copied to a backend.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// float32 values.
    F32(&'a [f32]),
    /// binary16 bit patterns.
    F16(&'a [u16]),
    /// bfloat16 bit patterns.
    Bf16(&'a [u16]),
    /// 32-bit integers.
    I32(&'a [i32]),
    /// Bytes.
    U8(&'a [u8]),
}

impl Host<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F16(v) | Self::Bf16(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::U8(v) => v.len(),
        }
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F16(_) => DType::F16,
            Self::Bf16(_) => DType::Bf16,
            Self::I32(_) => DType::I32,
            Self::U8(_) => DType::U8,
        }
    }
}

/// Bytes a backend holds now and held at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Bytes allocated and not yet freed.
    pub in_use: usize,
    /// Largest value `in_use` ever had.
    pub peak: usize,
}

/// A buffer that knows what it holds.
pub trait TypedBuffer {
    /// Dtype of its elements.
    fn dtype(&self) -> DType;

    /// Number of its elements.
    fn len(&self) -> usize;

    /// Whether it has no element.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A read-only view of `len` elements on a buffer.
#[derive(Debug)]
pub struct View<'a, T> {
    /// The buffer looked at.
    pub buffer: &'a T,
    /// First element.
    pub start: usize,
    /// Number of elements.
    pub len: usize,
}

// Derived implementations would ask for `T: Clone`; a view copies without it.
impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for View<'_, T> {}

impl<'a, T> View<'a, T> {
    /// A view on elements `start .. start + len`.
    pub fn new(buffer: &'a T, start: usize, len: usize) -> Self {
        Self { buffer, start, len }
    }

    /// The part `start .. start + len` of this view.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the part does not lie inside the view.
    pub fn part(self, start: usize, len: usize) -> Result<Self> {
        check_part(self.len, start, len)?;
        Ok(Self::new(self.buffer, self.start + start, len))
    }
}

impl<T: TypedBuffer> View<'_, T> {
    /// Checks that the view has `len` elements of `dtype` (of any where none is given) and lies in its buffer. `op` and `name`
    /// say in errors whose argument it is.
    ///
    /// # Errors
    /// `ArgumentInvalid` when it does not.
    pub fn check(self, op: &str, name: &str, dtype: Option<DType>, len: usize) -> Result<()> {
        let (start, has) = (self.start, self.buffer.len());
        if let Some(dtype) = dtype
            && self.buffer.dtype() != dtype
        {
            return Err(Error::argument(op, format!("{name} of {dtype}"), self.buffer.dtype()));
        }
        if self.len != len {
            return Err(Error::argument(op, format!("{len} elements in {name}"), self.len));
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
}

/// A writable view of `len` elements on a buffer.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    /// The buffer written to.
    pub buffer: &'a mut T,
    /// First element.
    pub start: usize,
    /// Number of elements.
    pub len: usize,
}

impl<'a, T> ViewMut<'a, T> {
    /// A view on elements `start .. start + len`.
    pub fn new(buffer: &'a mut T, start: usize, len: usize) -> Self {
        Self { buffer, start, len }
    }

    /// The part `start .. start + len` of this view.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the part does not lie inside the view.
    pub fn part(self, start: usize, len: usize) -> Result<Self> {
        check_part(self.len, start, len)?;
        Ok(Self::new(self.buffer, self.start + start, len))
    }

    /// The same view, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        ViewMut::new(self.buffer, self.start, self.len)
    }

    /// The same view, read-only.
    pub fn as_view(&self) -> View<'_, T> {
        View::new(self.buffer, self.start, self.len)
    }
}

fn check_part(whole: usize, start: usize, len: usize) -> Result<()> {
    match start.checked_add(len) {
        Some(end) if end <= whole => Ok(()),
        _ => Err(Error::argument(
            "memory",
            format!("a part inside {whole} elements"),
            format!("{len} elements from {start}"),
        )),
    }
}

/// Allocation and copies of a backend. Buffers free themselves when dropped.
pub trait Memory: Send + Sync + 'static {
    /// One allocation: a number of elements of one dtype.
    type Buffer: Send + Sync;

    /// Dtype of activations and their gradients on this backend.
    fn activation_dtype(&self) -> DType;

    /// Whether buffers and weights hold what is written into them. A backend that only keeps accounts of sizes says no, and
    /// is given weights without values.
    fn keeps_values(&self) -> bool {
        true
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// `OutOfMemory` with the bytes asked for and in use.
    fn zeros(&self, dtype: DType, len: usize) -> Result<Self::Buffer>;

    /// A new buffer holding a copy of `host`, in its dtype.
    ///
    /// # Errors
    /// `OutOfMemory`.
    fn upload(&self, host: Host<'_>) -> Result<Self::Buffer>;

    /// Copies `host` into a view of the same dtype and length.
    ///
    /// # Errors
    /// `ArgumentInvalid` on a mismatch.
    fn write(&self, host: Host<'_>, target: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Copies a view of floating-point numbers or bytes to the host as float32, waiting for work in flight.
    ///
    /// # Errors
    /// `ArgumentInvalid` on a mismatch.
    fn read(&self, source: View<'_, Self::Buffer>, target: &mut [f32]) -> Result<()>;

    /// Copies between views of one dtype and length.
    ///
    /// # Errors
    /// `ArgumentInvalid` on a mismatch.
    fn copy(&self, source: View<'_, Self::Buffer>, target: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Sets a view to zero.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the view does not lie in its buffer.
    fn clear(&self, target: ViewMut<'_, Self::Buffer>) -> Result<()>;

    /// Elements of a buffer.
    fn len(&self, buffer: &Self::Buffer) -> usize;

    /// Bytes in use and at peak.
    fn memory_stats(&self) -> MemoryStats;

    /// Waits until all queued work is done (nothing to do on a CPU).
    ///
    /// # Errors
    /// Whatever the queued work failed with.
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}
