//! Writing the container: keys, the table of tensors, then the data, tensor after tensor straight to the disk.

use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

use super::tensors::type_number;
use crate::atomic_file::AtomicFile;
use crate::safetensors::TensorSpec;

/// Alignment of the data in bytes: the format's default.
const ALIGNMENT: usize = 32;

/// The key by which a file says that it was written here; the package in front of this crate replaces no other file.
const WRITER_KEY: &str = "tunesmith.version";

/// Key-value pairs under construction.
#[derive(Debug, Default)]
pub struct KeyWriter {
    count: u64,
    bytes: Vec<u8>,
}

impl KeyWriter {
    /// The first keys of a file: its architecture, and who wrote it.
    pub fn new(architecture: &str) -> Self {
        let mut keys = Self::default();
        keys.text("general.architecture", architecture);
        keys.text(WRITER_KEY, env!("CARGO_PKG_VERSION"));
        keys
    }

    /// An unsigned 32-bit number.
    pub fn u32(&mut self, key: &str, value: u32) {
        self.begin(key, 4);
        self.bytes.extend(value.to_le_bytes());
    }

    /// A float32.
    pub fn f32(&mut self, key: &str, value: f32) {
        self.begin(key, 6);
        self.bytes.extend(value.to_le_bytes());
    }

    /// True or false.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.begin(key, 7);
        self.bytes.push(u8::from(value));
    }

    /// A string.
    pub fn text(&mut self, key: &str, value: &str) {
        self.begin(key, 8);
        self.string(value);
    }

    /// Strings.
    pub fn texts(&mut self, key: &str, values: &[String]) {
        self.array(key, 8, values.len());
        values.iter().for_each(|value| self.string(value));
    }

    /// 32-bit integers.
    pub fn i32s(&mut self, key: &str, values: &[i32]) {
        self.array(key, 5, values.len());
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// Float32s.
    pub fn f32s(&mut self, key: &str, values: &[f32]) {
        self.array(key, 6, values.len());
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// Flags.
    pub fn flags(&mut self, key: &str, values: &[bool]) {
        self.array(key, 7, values.len());
        self.bytes.extend(values.iter().map(|&value| u8::from(value)));
    }

    fn begin(&mut self, key: &str, kind: u32) {
        self.count = self.count.saturating_add(1);
        self.string(key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn array(&mut self, key: &str, element: u32, count: usize) {
        self.begin(key, 9);
        self.bytes.extend(element.to_le_bytes());
        self.bytes.extend((count as u64).to_le_bytes());
    }

    fn string(&mut self, value: &str) {
        self.bytes.extend((value.len() as u64).to_le_bytes());
        self.bytes.extend(value.as_bytes());
    }
}

/// A file under construction, which appears under its name only after [`GgufWriter::finish`].
#[derive(Debug)]
pub struct GgufWriter {
    file: AtomicFile,
    /// In the order in which they are written.
    specs: Vec<TensorSpec>,
    next: usize,
}

impl GgufWriter {
    /// Begins a file. `specs` are written in their order, under GGUF names, shapes in Hugging Face order.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a type that a GGUF file does not hold or rows that are not whole blocks; `FileMissing` for the
    /// folder, `Io`.
    pub fn create(path: &Path, keys: &KeyWriter, specs: Vec<TensorSpec>) -> Result<Self> {
        let mut head = b"GGUF".to_vec();
        head.extend(3_u32.to_le_bytes());
        head.extend((specs.len() as u64).to_le_bytes());
        head.extend(keys.count.to_le_bytes());
        head.extend(&keys.bytes);
        let mut offset = 0_usize;
        for TensorSpec { name, stored, shape } in &specs {
            let (Some(number), Some(len)) = (type_number(*stored), stored.byte_len(shape)) else {
                return Err(refuse(
                    name,
                    format!("expected whole blocks of a GGUF type, got {} {shape:?}", stored.name()),
                ));
            };
            head.extend((name.len() as u64).to_le_bytes());
            head.extend(name.as_bytes());
            head.extend((shape.len() as u32).to_le_bytes());
            head.extend(shape.iter().rev().flat_map(|&size| (size as u64).to_le_bytes()));
            head.extend(number.to_le_bytes());
            head.extend((offset as u64).to_le_bytes());
            let end = offset.checked_add(len).and_then(|end| end.checked_next_multiple_of(ALIGNMENT));
            offset = end.ok_or_else(|| refuse(name, "expected a size that can be counted, got more"))?;
        }
        head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
        let mut file = AtomicFile::create(path)?;
        file.write(&head)?;
        Ok(Self { file, specs, next: 0 })
    }

    /// Writes the bytes of the next tensor, which must be `name`.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a tensor out of turn or of the wrong length, `Io`.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let due = self.specs.get(self.next).filter(|spec| spec.name == name);
        let expected = due.and_then(|spec| spec.stored.byte_len(&spec.shape));
        if expected != Some(bytes.len()) {
            let expected =
                expected.map_or("no further tensor".to_owned(), |bytes| format!("{bytes} bytes of the next tensor"));
            let message = format!("expected {expected}, got {} bytes", bytes.len());
            return Err(refuse(name, message));
        }
        self.next = self.next.saturating_add(1);
        self.file.write(bytes)?;
        let padding = bytes.len().wrapping_neg() % ALIGNMENT;
        self.file.write([0; ALIGNMENT].get(..padding).unwrap_or_default())
    }

    /// Syncs and renames the file into place; every tensor must have been written.
    ///
    /// # Errors
    /// `ArgumentInvalid` names a tensor that was not written, `Io`.
    pub fn finish(self) -> Result<()> {
        match self.specs.get(self.next) {
            Some(spec) => Err(refuse(&spec.name, "expected every tensor before the end, got none of this one")),
            None => self.file.commit(),
        }
    }
}

fn refuse(name: &str, message: impl Into<String>) -> Error {
    Error::new(Code::ArgumentInvalid, format!("GGUF writer, {name}"), message)
}
