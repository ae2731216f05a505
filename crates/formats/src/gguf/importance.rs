//! An importance matrix: for each column of each matrix the mean square of what it is multiplied with, as llama.cpp's
//! `llama-imatrix` writes it, in its two formats (tools/imatrix/imatrix.cpp, tools/quantize/quantize.cpp).

use std::collections::BTreeMap;
use std::path::Path;

use tunesmith_ops::{Error, Result};

use super::cursor::Cursor;
use super::file::{alignment, read_preamble};
use super::metadata::Metadata;
use super::tensors::read_table;
use super::writer::KeyWriter;
use crate::input::{MappedFile, invalid};
use crate::safetensors::TensorSpec;
use crate::stored_type::StoredType;

/// Most matrices, and longest name in bytes, of the older format.
const LIMITS: (usize, usize) = (1 << 17, 255);
/// Most columns: no matrix of a published model has a tenth of them.
const MAX_COLUMNS: usize = 1 << 24;
/// The matrix whose columns are not what it is multiplied with: a token picks a row of it.
const EMBEDDING: &str = "token_embd.weight";

/// The importance of the columns of matrices, by GGUF names.
#[derive(Debug)]
pub struct ImportanceMatrix {
    columns: BTreeMap<String, Vec<f32>>,
    /// Pieces of text it was measured on, where the file says so.
    chunks: Option<u32>,
}

impl ImportanceMatrix {
    /// Reads a file of either format.
    ///
    /// # Errors
    /// `FileInvalid` names the place of damage, `FileMissing`, `Io`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let this = if file.bytes().starts_with(b"GGUF") { read_gguf(path, &file)? } else { read_older(path, &file)? };
        for (name, columns) in &this.columns {
            if let Some(wrong) = columns.iter().find(|value| !(value.is_finite() && **value >= 0.0)) {
                let message = format!("expected mean squares in `{name}`, got {wrong}; make the file again");
                return Err(invalid(path, message));
            }
        }
        if this.columns.is_empty() {
            return Err(invalid(path, "expected the importance of a matrix, got none; make the file again"));
        }
        Ok(this)
    }

    /// The importance of a matrix's columns; None where the file has none, and of the embedding, where it may be a head's of
    /// another width.
    pub fn of(&self, spec: &TensorSpec) -> Option<&[f32]> {
        let columns = spec.shape.last().copied();
        self.columns.get(&spec.name).map(Vec::as_slice).filter(|known| Some(known.len()) == columns)
    }

    /// What a reader should know of the matrices whose types search, of which the file lacks some.
    ///
    /// # Errors
    /// `ArgumentInvalid` for matrices of another model: columns of another number, or none that is known.
    pub(super) fn check<'a>(&self, specs: impl Iterator<Item = &'a TensorSpec>) -> Result<Vec<String>> {
        let (mut missing, mut known) = (Vec::new(), 0_usize);
        for spec in specs {
            let columns = spec.shape.last().copied().unwrap_or(0);
            match self.columns.get(&spec.name) {
                Some(found) if found.len() == columns => known = known.saturating_add(1),
                Some(found) if spec.name != EMBEDDING => {
                    let got = format!("{} in `{}`", found.len(), spec.name);
                    let expected = format!("an importance matrix of this model, {columns} columns");
                    return Err(Error::argument("export.imatrix", expected, got));
                }
                _ => missing.push(spec.name.as_str()),
            }
        }
        if known == 0 && !missing.is_empty() {
            let expected = format!("an importance matrix of this model, such as of `{}`", missing.join("`, `"));
            let got = self.columns.keys().next().map_or("", String::as_str);
            return Err(Error::argument("export.imatrix", shortened(&expected), format!("one of `{got}`")));
        }
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let all = known.saturating_add(missing.len());
        let names = shortened(&missing.join(", "));
        Ok(vec![format!("the importance matrix has {known} of {all} quantised matrices, and not {names}")])
    }

    /// What the file says of its quantisation, under llama.cpp's keys.
    pub(super) fn write(&self, keys: &mut KeyWriter) {
        keys.u32("quantize.imatrix.entries_count", u32::try_from(self.columns.len()).unwrap_or(u32::MAX));
        if let Some(chunks) = self.chunks {
            keys.u32("quantize.imatrix.chunks_count", chunks);
        }
    }
}

/// A GGUF file of sums and counts: `NAME.in_sum2` and `NAME.counts`.
fn read_gguf(path: &Path, file: &MappedFile) -> Result<ImportanceMatrix> {
    let mut cursor = Cursor::new(path, file.bytes(), 0);
    let (tensor_count, key_count) = read_preamble(path, &mut cursor)?;
    let metadata = Metadata::read(path, &mut cursor, key_count)?;
    if metadata.text("general.type")? != Some("imatrix") {
        return Err(invalid(path, "expected a file of type \"imatrix\", got another; give what llama-imatrix wrote"));
    }
    let mut tensors = BTreeMap::new();
    for tensor in read_table(path, &mut cursor, tensor_count, alignment(path, &metadata)?)? {
        let end = tensor.offset.checked_add(tensor.len);
        let bytes = end.and_then(|end| file.bytes().get(tensor.offset..end)).unwrap_or_default();
        if tensor.stored != StoredType::F32 {
            let message = format!("expected float32 in `{}`, got {}", tensor.name, tensor.stored.name());
            return Err(cursor.refuse(message));
        }
        tensors.insert(tensor.name, floats(bytes));
    }
    let mut columns = BTreeMap::new();
    for (name, sums) in &tensors {
        let Some(matrix) = name.strip_suffix(".in_sum2") else { continue };
        // Of experts there is a count each; no model with experts is written.
        let Some([count]) = tensors.get(&format!("{matrix}.counts")).map(Vec::as_slice) else { continue };
        let mean = sums.iter().map(|sum| if *count > 0.0 { sum / count } else { 1.0 });
        columns.insert(matrix.to_owned(), mean.collect());
    }
    let chunks = metadata.integer("imatrix.chunk_count")?.and_then(|count| u32::try_from(count).ok());
    Ok(ImportanceMatrix { columns, chunks })
}

/// The older format: a count, then name, number of calls and sums of each matrix.
fn read_older(path: &Path, file: &MappedFile) -> Result<ImportanceMatrix> {
    let mut cursor = Cursor::new(path, file.bytes(), 0);
    let size = |cursor: &mut Cursor<'_>, what: &str, most: usize| {
        let given = i32::from_le_bytes(cursor.array()?);
        let fits = usize::try_from(given).ok().filter(|&given| given <= most);
        fits.ok_or_else(|| cursor.refuse(format!("expected at most {most} {what}, got {given}")))
    };
    let count = size(&mut cursor, "matrices in an importance matrix of llama.cpp", LIMITS.0)?;
    let mut columns = BTreeMap::new();
    for _ in 0..count {
        let length = size(&mut cursor, "bytes of a name", LIMITS.1)?;
        let name = std::str::from_utf8(cursor.take(length)?)
            .map_err(|error| cursor.refuse(format!("expected UTF-8 in a name, got: {error}")))?;
        let calls = size(&mut cursor, "calls", i32::MAX as usize)?;
        let values = size(&mut cursor, "columns", MAX_COLUMNS)?;
        let sums = floats(cursor.take(values.saturating_mul(4))?);
        let calls = if calls == 0 { 1.0 } else { calls as f32 };
        columns.insert(name.to_owned(), sums.iter().map(|sum| sum / calls).collect());
    }
    let chunks = if cursor.left() >= 4 { cursor.u32().ok() } else { None };
    Ok(ImportanceMatrix { columns, chunks })
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// Names in a sentence that a person reads.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::GgufWriter;
    use super::*;

    fn spec(name: &str, columns: usize) -> TensorSpec {
        TensorSpec { name: name.to_owned(), stored: StoredType::F32, shape: vec![3, columns] }
    }

    /// One matrix of the older format.
    fn older(name: &str, calls: i32, sums: &[f32]) -> Vec<u8> {
        let mut bytes = 1_i32.to_le_bytes().to_vec();
        bytes.extend((name.len() as i32).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend(calls.to_le_bytes());
        bytes.extend((sums.len() as i32).to_le_bytes());
        bytes.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
        bytes
    }

    fn opened(bytes: &[u8]) -> Result<ImportanceMatrix> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("imatrix.dat");
        std::fs::write(&path, bytes).unwrap();
        ImportanceMatrix::open(&path)
    }

    #[test]
    fn both_formats_give_means() {
        let name = "blk.0.ffn_down.weight";
        let mut bytes = older(name, 4, &[8.0, 2.0, 0.0]);
        bytes.extend(7_u32.to_le_bytes());
        let read = opened(&bytes).unwrap();
        assert_eq!(read.of(&spec(name, 3)).unwrap(), [2.0, 0.5, 0.0]);
        assert_eq!(read.chunks, Some(7));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("imatrix.gguf");
        let mut keys = KeyWriter::new("llama");
        keys.text("general.type", "imatrix");
        keys.u32("imatrix.chunk_count", 5);
        let tensor = |end: &str, columns| TensorSpec {
            name: format!("{name}.{end}"),
            stored: StoredType::F32,
            shape: vec![1, columns],
        };
        let mut file = GgufWriter::create(&path, &keys, vec![tensor("in_sum2", 3), tensor("counts", 1)]).unwrap();
        file.write(&format!("{name}.in_sum2"), bytemuck::cast_slice(&[8.0_f32, 2.0, 0.0])).unwrap();
        file.write(&format!("{name}.counts"), &4.0_f32.to_le_bytes()).unwrap();
        file.finish().unwrap();
        let read = ImportanceMatrix::open(&path).unwrap();
        assert_eq!(read.of(&spec(name, 3)).unwrap(), [2.0, 0.5, 0.0]);
        assert_eq!(read.chunks, Some(5));
    }

    #[test]
    fn another_model_and_damage_are_refused() {
        let name = "blk.0.ffn_down.weight";
        let read = opened(&older(name, 1, &[1.0, 2.0])).unwrap();
        let refused = |specs: &[TensorSpec]| read.check(specs.iter()).unwrap_err().message;
        assert!(refused(&[spec(name, 3)]).contains("3 columns, got 2"), "{}", refused(&[spec(name, 3)]));
        assert!(refused(&[spec("blk.0.attn_q.weight", 2)]).contains("blk.0.attn_q.weight"));
        let notes = read.check([spec(name, 2), spec("blk.0.attn_q.weight", 2)].iter()).unwrap();
        assert_eq!(notes, ["the importance matrix has 1 of 2 quantised matrices, and not blk.0.attn_q.weight"]);
        assert!(read.check([spec(name, 2)].iter()).unwrap().is_empty());

        for (bytes, expected) in [
            (older(name, 1, &[f32::NAN]), "mean squares"),
            (older(name, 1, &[-1.0]), "mean squares"),
            (older(name, -1, &[1.0]), "calls, got -1"),
            (older(name, 1, &[1.0])[..40].to_vec(), "more bytes"),
            (0_i32.to_le_bytes().to_vec(), "got none"),
            (i32::MAX.to_le_bytes().to_vec(), "matrices"),
            (b"GG".to_vec(), "2"),
        ] {
            let error = opened(&bytes).unwrap_err();
            assert!(error.message.contains(expected), "{expected}: {}", error.message);
        }
    }
}
