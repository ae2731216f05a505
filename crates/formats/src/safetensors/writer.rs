//! Writing safetensors: the header first, then tensor after tensor straight to the disk; equal content gives equal bytes.

use std::path::Path;

use serde_json::{Map, Value, json};
use tunesmith_ops::{Code, Error, Result};

use crate::atomic_file::AtomicFile;
use crate::stored_type::StoredType;

/// What the header says about one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the file.
    pub name: String,
    /// Element type; the block types of GGUF cannot be written.
    pub stored: StoredType,
    /// Dimensions, the last one contiguous.
    pub shape: Vec<usize>,
}

/// A float32 tensor in memory, to be written.
#[derive(Debug, Clone)]
pub struct F32Tensor<'a> {
    /// Name in the file.
    pub name: String,
    /// Dimensions, the last one contiguous.
    pub shape: Vec<usize>,
    /// Row-major elements.
    pub data: &'a [f32],
}

/// Writes a file tensor by tensor in the order of their names, so that a model is never in memory whole. The file
/// appears under its name only after [`SafetensorsWriter::finish`].
#[derive(Debug)]
pub struct SafetensorsWriter {
    file: AtomicFile,
    /// Sorted by name.
    specs: Vec<TensorSpec>,
    next: usize,
}

impl SafetensorsWriter {
    /// Begins a file and writes its header. `specs` may come in any order; names must be unique.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name given twice or a type that safetensors lacks; `FileMissing` for the folder, `Io`.
    pub fn create(path: &Path, mut specs: Vec<TensorSpec>) -> Result<Self> {
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        let mut pairs = specs.iter().zip(specs.iter().skip(1));
        if let Some((spec, _)) = pairs.find(|(spec, next)| spec.name == next.name) {
            return Err(refuse(&spec.name, "expected unique names, got this one twice"));
        }
        let header = header_bytes(&specs)?;
        let mut file = AtomicFile::create(path)?;
        file.write(&(header.len() as u64).to_le_bytes())?;
        file.write(&header)?;
        Ok(Self { file, specs, next: 0 })
    }

    /// The tensors in the order in which they have to be written.
    pub fn specs(&self) -> &[TensorSpec] {
        &self.specs
    }

    /// Writes the little-endian bytes of the next tensor, which must be `name`.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a tensor out of turn or of the wrong length, `Io`.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let Some(spec) = self.specs.get(self.next).filter(|spec| spec.name == name) else {
            let due = self.specs.get(self.next).map_or("no further tensor", |spec| &spec.name);
            return Err(refuse(
                name,
                format!("expected tensors in the order of their names and {due} next, got {name}"),
            ));
        };
        let expected = spec.stored.byte_len(&spec.shape);
        if expected != Some(bytes.len()) {
            let expected = expected.map_or("a size that can be counted".to_owned(), |bytes| format!("{bytes} bytes"));
            return Err(refuse(name, format!("expected {expected} for {:?}, got {}", spec.shape, bytes.len())));
        }
        self.next = self.next.saturating_add(1);
        self.file.write(bytes)
    }

    /// Syncs and renames the file into place; every tensor must have been written.
    ///
    /// # Errors
    /// `ArgumentInvalid` names a tensor that was not written, `Io`.
    pub fn finish(self) -> Result<()> {
        if let Some(spec) = self.specs.get(self.next) {
            return Err(refuse(&spec.name, "expected every tensor to be written before the end, got none of this one"));
        }
        self.file.commit()
    }
}

/// Writes float32 tensors as one file. `tensors` may come in any order.
///
/// # Errors
/// Those of [`SafetensorsWriter`].
pub fn write_safetensors(path: &Path, tensors: &[F32Tensor<'_>]) -> Result<()> {
    let spec = |tensor: &F32Tensor<'_>| TensorSpec {
        name: tensor.name.clone(),
        stored: StoredType::F32,
        shape: tensor.shape.clone(),
    };
    let mut writer = SafetensorsWriter::create(path, tensors.iter().map(spec).collect())?;
    let mut order: Vec<&F32Tensor<'_>> = tensors.iter().collect();
    order.sort_by(|a, b| a.name.cmp(&b.name));
    for tensor in order {
        writer.write(&tensor.name, bytemuck::cast_slice(tensor.data))?;
    }
    writer.finish()
}

/// The JSON header, padded with spaces so that the data begins at a multiple of eight.
fn header_bytes(specs: &[TensorSpec]) -> Result<Vec<u8>> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut offset = 0_usize;
    for TensorSpec { name, stored, shape } in specs {
        if stored.block_elements() != 1 {
            return Err(refuse(name, format!("expected a type that safetensors has, got {}", stored.name())));
        }
        let end = stored.byte_len(shape).and_then(|len| offset.checked_add(len));
        let end = end.ok_or_else(|| refuse(name, format!("expected a size that can be counted, got {shape:?}")))?;
        header.insert(name.clone(), json!({ "dtype": stored.name(), "shape": shape, "data_offsets": [offset, end] }));
        offset = end;
    }
    let mut bytes = Value::Object(header).to_string().into_bytes();
    bytes.resize(bytes.len().next_multiple_of(8), b' ');
    Ok(bytes)
}

fn refuse(name: &str, message: impl Into<String>) -> Error {
    Error::new(Code::ArgumentInvalid, format!("safetensors writer, {name}"), message)
}
