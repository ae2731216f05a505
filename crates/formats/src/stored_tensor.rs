//! A tensor as its file stores it, whatever the format of the file: what the engine loads from.

use std::path::Path;

use tunesmith_ops::{Code, Error, Host, Result};

use crate::dequantize::dequantize;
use crate::stored_type::StoredType;

/// Order of the rows (dimension 0) of a tensor in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// As Hugging Face has them.
    Natural,
    /// Within each head of so many rows, the two halves are interleaved: 0, half, 1, half + 1, … llama.cpp's converter
    /// stores the query and key projections of its `llama` architecture so, because it rotates neighbours.
    Interleaved { head_dim: usize },
}

impl RowOrder {
    /// The row of the file that holds row `row` of the Hugging Face order.
    pub(crate) fn file_row(self, row: usize) -> usize {
        match self {
            Self::Natural => row,
            Self::Interleaved { head_dim } => {
                let (head, within) = parts(row, head_dim);
                let (half, index) = parts(within, head_dim / 2);
                let start = head.saturating_mul(head_dim);
                start.saturating_add(index.saturating_mul(2)).saturating_add(half)
            }
        }
    }
}

/// Quotient and remainder.
fn parts(number: usize, divisor: usize) -> (usize, usize) {
    (number.checked_div(divisor).unwrap_or(0), number.checked_rem(divisor).unwrap_or(0))
}

/// A tensor in a file, not yet converted. `shape` is in Hugging Face order: the last dimension is contiguous.
#[derive(Debug, Clone)]
pub struct StoredTensor<'a> {
    /// Hugging Face name.
    pub name: &'a str,
    /// Element type in the file.
    pub stored: StoredType,
    /// Dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    bytes: &'a [u8],
    rows: RowOrder,
    /// What the file adds to every element, and conversion takes away.
    offset: f32,
}

impl<'a> StoredTensor<'a> {
    /// A tensor whose byte length the reader has checked against its shape.
    pub(crate) fn new(name: &'a str, stored: StoredType, shape: Vec<usize>, bytes: &'a [u8], rows: RowOrder) -> Self {
        debug_assert_eq!(stored.byte_len(&shape), Some(bytes.len()));
        Self { name, stored, shape, bytes, rows, offset: 0.0 }
    }

    /// The same tensor under another name.
    pub(crate) fn renamed(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    /// The same tensor where the file holds every element plus `offset`.
    pub(crate) fn with_offset(self, offset: f32) -> Self {
        Self { offset, ..self }
    }

    /// A tensor in memory, in the order of its shape.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the bytes are not as many as the shape asks for.
    pub fn from_bytes(name: &'a str, stored: StoredType, shape: Vec<usize>, bytes: &'a [u8]) -> Result<Self> {
        let expected = stored.byte_len(&shape);
        if expected != Some(bytes.len()) {
            let expected = expected.map_or_else(|| "a shape that can be counted".to_owned(), |n| format!("{n} bytes"));
            return Err(Error::argument(name, format!("{expected} for {} {shape:?}", stored.name()), bytes.len()));
        }
        Ok(Self::new(name, stored, shape, bytes, RowOrder::Natural))
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        parts(self.bytes.len(), self.stored.block_bytes()).0.saturating_mul(self.stored.block_elements())
    }

    /// Size of dimension 0; 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Elements of one row: the product of all dimensions but the first.
    pub fn row_elements(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The stored little-endian bytes, where they are in the order of `shape` and are the values themselves; None where the file
    /// orders rows otherwise or holds shifted values.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        (self.rows == RowOrder::Natural && self.offset == 0.0).then_some(self.bytes)
    }

    /// The elements in place, as a backend takes them: nothing is copied. None where the type is not one of a backend, or the
    /// file does not hold them aligned and in the order of `shape`.
    pub fn host(&self) -> Option<Host<'a>> {
        let bytes = self.bytes()?;
        match self.stored {
            StoredType::F32 => bytemuck::try_cast_slice(bytes).ok().map(Host::F32),
            StoredType::F16 => bytemuck::try_cast_slice(bytes).ok().map(Host::F16),
            StoredType::Bf16 => bytemuck::try_cast_slice(bytes).ok().map(Host::Bf16),
            _ => None,
        }
    }

    /// Converts the whole tensor to float32, replacing the content of `out`.
    ///
    /// # Errors
    /// `ArgumentInvalid` for integers other than U8: they are ids, not weights; `OutOfMemory`.
    pub fn to_f32(&self, out: &mut Vec<f32>) -> Result<()> {
        self.rows_to_f32(0, self.rows(), out)
    }

    /// Converts the rows `first .. first + count` of dimension 0 to float32, replacing the content of `out`: a large matrix
    /// can be converted piece by piece.
    ///
    /// # Errors
    /// `ArgumentInvalid` for rows outside the tensor or a type that is not a number; `OutOfMemory`.
    pub fn rows_to_f32(&self, first: usize, count: usize, out: &mut Vec<f32>) -> Result<()> {
        let rows = self.rows();
        if first.checked_add(count).is_none_or(|end| end > rows) {
            return Err(self.refuse(format!("expected rows inside 0..{rows}, got {count} from row {first}")));
        }
        let row_elements = self.row_elements();
        let whole = first == 0 && count == rows && self.rows == RowOrder::Natural;
        if !whole && !row_elements.is_multiple_of(self.stored.block_elements()) {
            return Err(self
                .refuse(format!("expected rows of whole {} blocks, got rows of {row_elements}", self.stored.name())));
        }
        out.clear();
        let wanted = if whole { self.elements() } else { count.saturating_mul(row_elements) };
        out.try_reserve_exact(wanted).map_err(|_| {
            Error::new(
                Code::OutOfMemory,
                self.name,
                format!("expected memory for {wanted} float32, got none; free memory"),
            )
        })?;
        let result = match self.rows {
            _ if whole => dequantize(self.stored, self.bytes, out),
            RowOrder::Natural => dequantize(self.stored, self.file_rows(first, count), out),
            RowOrder::Interleaved { .. } => (first..)
                .take(count)
                .try_for_each(|row| dequantize(self.stored, self.file_rows(self.rows.file_row(row), 1), out)),
        };
        if self.offset != 0.0 {
            out.iter_mut().for_each(|value| *value -= self.offset);
        }
        result.map_err(|stored| self.refuse(format!("expected floating-point elements, got {}", stored.name())))
    }

    /// The bytes of some rows in the order of the file, which are whole blocks.
    fn file_rows(&self, first: usize, count: usize) -> &'a [u8] {
        let row_bytes =
            parts(self.row_elements(), self.stored.block_elements()).0.saturating_mul(self.stored.block_bytes());
        let start = first.saturating_mul(row_bytes);
        let end = start.saturating_add(count.saturating_mul(row_bytes));
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Whether two tensors have the same shape and values.
    ///
    /// # Errors
    /// Those of [`Self::rows_to_f32`].
    pub fn equals(&self, other: &StoredTensor<'_>) -> Result<bool> {
        if self.shape != other.shape {
            return Ok(false);
        }
        if self.stored == other.stored && self.rows == other.rows && self.offset == other.offset {
            return Ok(self.bytes == other.bytes);
        }
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for row in 0..self.rows() {
            self.rows_to_f32(row, 1, &mut left)?;
            other.rows_to_f32(row, 1, &mut right)?;
            if left != right {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads an integer tensor (I32, I64 or U8) as int32, replacing the content of `out`.
    ///
    /// # Errors
    /// `ArgumentInvalid` for another type or a number of more than 32 bits.
    pub fn to_i32(&self, out: &mut Vec<i32>) -> Result<()> {
        out.clear();
        match self.stored {
            StoredType::I32 => out.extend(self.bytes.as_chunks::<4>().0.iter().map(|&bytes| i32::from_le_bytes(bytes))),
            StoredType::U8 => out.extend(self.bytes.iter().map(|&byte| i32::from(byte))),
            StoredType::I64 => {
                for &bytes in self.bytes.as_chunks::<8>().0 {
                    let value = i64::from_le_bytes(bytes);
                    let narrow = i32::try_from(value);
                    out.push(narrow.map_err(|_| self.refuse(format!("expected integers of 32 bits, got {value}")))?);
                }
            }
            other => return Err(self.refuse(format!("expected an integer tensor, got {}", other.name()))),
        }
        Ok(())
    }

    fn refuse(&self, message: String) -> Error {
        Error::new(Code::ArgumentInvalid, self.name, message)
    }
}

/// Where weights come from: any opened model file or set of files. All names are Hugging Face names, such as
/// `model.layers.0.self_attn.q_proj.weight`.
pub trait TensorSource: Send + Sync {
    /// Names of all tensors, sorted.
    fn names(&self) -> Vec<String>;

    /// The tensor of that name.
    ///
    /// # Errors
    /// `FileInvalid` names the file where the tensor is absent.
    fn get(&self, name: &str) -> Result<StoredTensor<'_>>;

    /// Whether the tensor exists.
    fn contains(&self, name: &str) -> bool;

    /// The files of the tensors, in a fixed order: what they hold decides every tensor. Empty where there are none.
    fn files(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Says that a tensor is not read again soon: the memory its file takes in this process may go. Reading it again works.
    fn release(&self, _name: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_memory_must_be_as_many_as_their_shape_says() {
        let bytes = [0; 12];
        assert!(StoredTensor::from_bytes("w", StoredType::Bf16, vec![2, 3], &bytes).is_ok());
        for (stored, shape) in
            [(StoredType::F32, vec![2, 3]), (StoredType::Q8_0, vec![12]), (StoredType::U8, vec![usize::MAX, 2])]
        {
            assert!(StoredTensor::from_bytes("w", stored, shape, &bytes).is_err());
        }
    }

    #[test]
    fn interleaved_rows_are_put_back_in_halves() {
        let values: Vec<u8> = [0, 4, 1, 5, 2, 6, 3, 7].iter().flat_map(|&v| (v as f32).to_le_bytes()).collect();
        let tensor =
            StoredTensor::new("q", StoredType::F32, vec![8, 1], &values, RowOrder::Interleaved { head_dim: 8 });
        let mut out = Vec::new();
        tensor.to_f32(&mut out).unwrap();
        assert_eq!(out, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        tensor.rows_to_f32(3, 2, &mut out).unwrap();
        assert_eq!(out, [3.0, 4.0]);
        assert!(tensor.bytes().is_none(), "bytes in another order must not be handed out");
    }

    #[test]
    fn rows_outside_the_tensor_and_wide_integers_are_refused() {
        let bytes = 5_000_000_000_i64.to_le_bytes();
        let tensor = StoredTensor::new("ids", StoredType::I64, vec![1], &bytes, RowOrder::Natural);
        assert_eq!(tensor.rows_to_f32(1, 1, &mut Vec::new()).unwrap_err().code, Code::ArgumentInvalid);
        assert_eq!(tensor.rows_to_f32(usize::MAX, 2, &mut Vec::new()).unwrap_err().code, Code::ArgumentInvalid);
        assert!(tensor.to_i32(&mut Vec::new()).unwrap_err().message.contains("5000000000"));
        assert!(tensor.to_f32(&mut Vec::new()).unwrap_err().message.contains("I64"));
    }
}
