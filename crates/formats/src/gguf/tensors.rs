//! The tensor table of a GGUF file: names, shapes, types and places, each checked against the bytes that are there.

use std::collections::BTreeSet;
use std::path::Path;

use tunesmith_ops::{Error, Result};

use super::cursor::Cursor;
use crate::input::{invalid, unsupported};
use crate::stored_type::StoredType;

/// Smallest table row in bytes, and the most rows; models of thousands of layers would stay below.
pub const COUNT_LIMITS: (usize, usize) = (24, 1 << 17);

/// Longest name in bytes; llama.cpp itself allows 63.
const MAX_NAME_BYTES: usize = 255;

/// One row of the table.
#[derive(Debug)]
pub struct GgufTensor {
    /// Name as the file has it.
    pub name: String,
    /// Element type.
    pub stored: StoredType,
    /// Dimensions in Hugging Face order: the file's, reversed.
    pub shape: Vec<usize>,
    /// First byte in the file.
    pub offset: usize,
    /// Bytes.
    pub len: usize,
}

/// Reads `count` rows and places their data after them, at the given alignment.
pub fn read_table(path: &Path, cursor: &mut Cursor<'_>, count: usize, alignment: usize) -> Result<Vec<GgufTensor>> {
    let mut tensors = Vec::new();
    let mut names = BTreeSet::new();
    for _ in 0..count {
        let tensor = read_row(path, cursor)?;
        if !names.insert(tensor.name.clone()) {
            return Err(cursor.refuse(format!("expected unique tensors, got `{}` twice", tensor.name)));
        }
        tensors.push(tensor);
    }
    let file_bytes = cursor.position().saturating_add(cursor.left());
    let data_start = cursor.position().checked_next_multiple_of(alignment);
    for tensor in &mut tensors {
        let name = &tensor.name;
        if !tensor.offset.is_multiple_of(alignment) {
            return Err(cursor.refuse(format!("expected `{name}` at a multiple of {alignment}, got {}", tensor.offset)));
        }
        let offset = data_start.and_then(|start| start.checked_add(tensor.offset));
        let end = offset.and_then(|offset| offset.checked_add(tensor.len));
        match (offset, end) {
            (Some(offset), Some(end)) if end <= file_bytes => tensor.offset = offset,
            (_, Some(end)) => return Err(truncated(path, end, file_bytes)),
            _ => return Err(cursor.refuse(format!("expected `{name}` inside the file, got offset {}", tensor.offset))),
        }
    }
    refuse_overlap(cursor, &tensors)?;
    Ok(tensors)
}

/// No byte belongs to two tensors.
fn refuse_overlap(cursor: &Cursor<'_>, tensors: &[GgufTensor]) -> Result<()> {
    let mut order: Vec<&GgufTensor> = tensors.iter().collect();
    order.sort_by_key(|tensor| tensor.offset);
    for (tensor, next) in order.iter().zip(order.iter().skip(1)) {
        let end = tensor.offset.saturating_add(tensor.len);
        if next.offset < end {
            let (name, other) = (&next.name, &tensor.name);
            return Err(
                cursor.refuse(format!("expected `{name}` after the end of `{other}`, got both in the same bytes"))
            );
        }
    }
    Ok(())
}

fn truncated(path: &Path, expected: usize, got: usize) -> Error {
    invalid(
        path,
        format!("expected at least {expected} bytes, got {got}; the file is truncated, download or copy it again"),
    )
}

/// Reads one row; its offset still counts from the beginning of the data.
fn read_row(path: &Path, cursor: &mut Cursor<'_>) -> Result<GgufTensor> {
    let name = cursor.string("a tensor name", MAX_NAME_BYTES)?.to_owned();
    let dimensions = cursor.u32()?;
    if !(1..=4).contains(&dimensions) {
        return Err(cursor.refuse(format!("expected 1 to 4 dimensions of `{name}`, got {dimensions}")));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let size = cursor.u64()?;
        let size = usize::try_from(size).ok().filter(|&size| size > 0);
        shape.push(size.ok_or_else(|| cursor.refuse(format!("expected dimensions above 0 in `{name}`")))?);
    }
    shape.reverse();
    let stored = stored_type(path, &name, cursor.u32()?)?;
    let offset = cursor.u64()?;
    let (Some(len), Ok(offset)) = (stored.byte_len(&shape), usize::try_from(offset)) else {
        return Err(cursor.refuse(format!(
            "expected whole blocks and a size that can be counted in `{name}`, got {} {shape:?} at {offset}",
            stored.name()
        )));
    };
    Ok(GgufTensor { name, stored, shape, offset, len })
}

fn stored_type(path: &Path, tensor: &str, number: u32) -> Result<StoredType> {
    use StoredType::{Bf16, F16, F32, Iq4Nl, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    let readable = [F32, F16, Bf16, Q8_0, Q6K, Q5K, Q4K, Q3K, Q5_1, Q5_0, Q4_1, Q4_0, Iq4Nl];
    let found = readable.into_iter().find(|stored| type_number(*stored) == Some(number));
    found.ok_or_else(|| {
        let named = match number {
            9 => "Q8_1",
            10 => "Q2_K",
            15 => "Q8_K",
            16..=19 | 21..=23 | 29 => "one of the IQ types",
            24..=27 => "an integer type",
            28 => "F64",
            _ => "an unknown type",
        };
        let known: Vec<&str> = readable.iter().map(|stored| stored.name()).collect();
        unsupported(
            path,
            format!(
                "expected {} in `{tensor}`, got {named} (type {number}); use a file of one of these types",
                known.join(", ")
            ),
        )
    })
}

/// The format's number of a type (`ggml_type`); None for types that no tensor of ours has in a GGUF file.
pub fn type_number(stored: StoredType) -> Option<u32> {
    Some(match stored {
        StoredType::F32 => 0,
        StoredType::F16 => 1,
        StoredType::Q4_0 => 2,
        StoredType::Q4_1 => 3,
        StoredType::Q5_0 => 6,
        StoredType::Q5_1 => 7,
        StoredType::Q8_0 => 8,
        StoredType::Q3K => 11,
        StoredType::Q4K => 12,
        StoredType::Q5K => 13,
        StoredType::Q6K => 14,
        StoredType::Iq4Nl => 20,
        StoredType::Bf16 => 30,
        StoredType::I64 | StoredType::I32 | StoredType::U8 => return None,
    })
}
