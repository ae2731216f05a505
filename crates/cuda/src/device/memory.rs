//! Allocation and copies: the device as [`Memory`].

use std::sync::atomic::Ordering;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use tunesmith_ops::{DType, Error, Host, Memory, MemoryStats, Result, TypedBuffer, View, ViewMut};

use super::buffer::Buffer;
use crate::Cuda;

pub(crate) fn host_bytes(host: Host<'_>) -> &[u8] {
    fn bytes<T>(values: &[T]) -> &[u8] {
        // SAFETY: called with integers and floats alone, which have no padding; a byte has no alignment.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
    }
    match host {
        Host::F32(v) => bytes(v),
        Host::F16(v) | Host::Bf16(v) => bytes(v),
        Host::I32(v) => bytes(v),
        Host::U8(v) => v,
    }
}

impl Cuda {
    /// A buffer whose content is undefined: for what an op writes in full.
    pub(crate) fn undefined(&self, dtype: DType, len: usize) -> Result<Buffer> {
        let bytes = len
            .checked_mul(dtype.size())
            .ok_or_else(|| Error::argument("zeros", "a size in bytes below 2^64", format!("{len} elements")))?;
        Ok(Buffer::new(dtype, len, self.pool.take(bytes)?))
    }

    /// The bytes of a view on the host.
    fn download<T: Copy + Default>(&self, source: View<'_, Buffer>) -> Result<Vec<T>> {
        let mut host = vec![T::default(); source.len];
        // SAFETY: `T` is an integer or a float: every pattern of bytes is a value.
        let bytes = unsafe { std::slice::from_raw_parts_mut(host.as_mut_ptr().cast(), size_of_val(host.as_slice())) };
        self.download_bytes(source.buffer.address_of(source.start), bytes)?;
        Ok(host)
    }
}

impl Memory for Cuda {
    type Buffer = Buffer;

    fn activation_dtype(&self) -> DType {
        self.dtype
    }

    fn keeps_values(&self) -> bool {
        self.driver.keeps_values()
    }

    fn zeros(&self, dtype: DType, len: usize) -> Result<Buffer> {
        let buffer = self.undefined(dtype, len)?;
        self.driver.clear(buffer.address_of(0), len * dtype.size())?;
        Ok(buffer)
    }

    fn upload(&self, host: Host<'_>) -> Result<Buffer> {
        let buffer = self.undefined(host.dtype(), host.len())?;
        self.driver.upload(buffer.address_of(0), host_bytes(host))?;
        Ok(buffer)
    }

    fn write(&self, host: Host<'_>, target: ViewMut<'_, Buffer>) -> Result<()> {
        target.as_view().check("write", "target", Some(host.dtype()), host.len())?;
        self.driver.upload(target.buffer.address_of(target.start), host_bytes(host))
    }

    fn read(&self, source: View<'_, Buffer>, target: &mut [f32]) -> Result<()> {
        source.check("read", "source", None, target.len())?;
        match source.buffer.dtype() {
            DType::F32 => target.copy_from_slice(&self.download::<f32>(source)?),
            DType::F16 => self.download::<u16>(source)?.reinterpret_cast::<f16>().convert_to_f32_slice(target),
            DType::Bf16 => self.download::<u16>(source)?.reinterpret_cast::<bf16>().convert_to_f32_slice(target),
            DType::U8 => {
                let bytes = self.download::<u8>(source)?;
                target.iter_mut().zip(bytes).for_each(|(wide, byte)| *wide = f32::from(byte));
            }
            other @ DType::I32 => return Err(Error::argument("read", "a floating-point view", other)),
        }
        Ok(())
    }

    fn copy(&self, source: View<'_, Buffer>, target: ViewMut<'_, Buffer>) -> Result<()> {
        let dtype = source.buffer.dtype();
        source.check("copy", "source", None, source.len)?;
        target.as_view().check("copy", "target", Some(dtype), source.len)?;
        let (from, to) = (source.buffer.address_of(source.start), target.buffer.address_of(target.start));
        self.driver.copy(from, to, source.len * dtype.size())
    }

    fn clear(&self, target: ViewMut<'_, Buffer>) -> Result<()> {
        target.as_view().check("clear", "target", None, target.len)?;
        let bytes = target.len * target.buffer.dtype().size();
        self.driver.clear(target.buffer.address_of(target.start), bytes)
    }

    fn len(&self, buffer: &Buffer) -> usize {
        buffer.len()
    }

    fn memory_stats(&self) -> MemoryStats {
        self.pool.stats()
    }

    fn synchronize(&self) -> Result<()> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.driver.synchronize()
    }
}
