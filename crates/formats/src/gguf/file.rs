//! One memory-mapped GGUF file as a source of Hugging Face tensors.

use std::collections::BTreeMap;
use std::path::Path;

use tunesmith_ops::Result;

use super::architectures::Architecture;
use super::config_reader::ConfigReader;
use super::cursor::Cursor;
use super::metadata::Metadata;
use super::model_config::{TensorFacts, architecture};
use super::rope_keys::{self, RopeTensors};
use super::tensors::{self, GgufTensor, read_table};
use super::tokenizer::GgufTokenizer;
use crate::config::{ModelConfig, shown};
use crate::input::{MappedFile, invalid, unsupported};
use crate::stored_tensor::{RowOrder, StoredTensor, TensorSource};

/// Alignment of the data where `general.alignment` is absent, in bytes.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Largest alignment in bytes; beyond any page size it would only make holes.
const MAX_ALIGNMENT: u64 = 1 << 20;

/// An opened GGUF file: configuration, tensors under their Hugging Face names, tokenizer.
#[derive(Debug)]
pub struct GgufFile {
    file: MappedFile,
    metadata: Metadata,
    config: ModelConfig,
    architecture: &'static Architecture,
    /// Hugging Face name to place and row order.
    tensors: BTreeMap<String, (GgufTensor, RowOrder)>,
}

impl GgufFile {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// `ModelUnsupported` names the architecture, tensor type, tensor or rotary key that this version does not know;
    /// `FileInvalid` the place of damage; `ConfigInvalid` a size that is absent; `FileMissing`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let mut cursor = Cursor::new(path, file.bytes(), 0);
        let (tensor_count, key_count) = read_preamble(path, &mut cursor)?;
        let metadata = Metadata::read(path, &mut cursor, key_count)?;
        refuse_parts(path, &metadata)?;
        let alignment = alignment(path, &metadata)?;
        let table = read_table(path, &mut cursor, tensor_count, alignment)?;

        let architecture = architecture(path, &metadata)?;
        let reader = ConfigReader { path, metadata: &metadata, bytes: file.bytes(), architecture };
        let (tensors, rope) = map_names(path, table, &reader)?;
        let rope = read_rope_tensors(&file, &rope, &reader)?;
        let shape = |name: &str| tensors.get(name).map(|(tensor, _)| tensor.shape.as_slice());
        let Some([vocab_size, _]) = shape("model.embed_tokens.weight") else {
            return Err(invalid(path, "expected a matrix `token_embd.weight`, got none; this file holds no model"));
        };
        let facts = TensorFacts {
            vocab_size: *vocab_size,
            has_head: shape("lm_head.weight").is_some(),
            attention_bias: shape("model.layers.0.self_attn.q_proj.bias").is_some(),
            mlp_bias: shape("model.layers.0.mlp.gate_proj.bias").is_some(),
            rope,
        };
        let config = reader.config(&facts)?;
        Ok(Self { file, metadata, config, architecture, tensors })
    }

    /// The configuration under Hugging Face names.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The tokenizer, decoded again by every call.
    ///
    /// # Errors
    /// `FileInvalid` names a key of an unexpected type.
    pub fn tokenizer(&self) -> Result<GgufTokenizer> {
        GgufTokenizer::read(&self.metadata, self.file.bytes())
    }
}

impl TensorSource for GgufFile {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn get(&self, name: &str) -> Result<StoredTensor<'_>> {
        let absent = || {
            invalid(
                self.file.path(),
                format!("expected tensor `{name}`, got none of that name; the file is not a whole model"),
            )
        };
        let (name, (tensor, rows)) = self.tensors.get_key_value(name).ok_or_else(absent)?;
        Ok(view(&self.file, name, tensor, *rows)?.with_offset(self.architecture.offset(name)))
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn files(&self) -> Vec<&Path> {
        vec![self.file.path()]
    }

    fn release(&self, name: &str) {
        let place = self
            .tensors
            .get(name)
            .and_then(|(tensor, _)| Some((tensor.offset, tensor.offset.checked_add(tensor.len)?)));
        if let Some(bytes) = place.and_then(|(start, end)| self.file.bytes().get(start..end)) {
            self.file.release(bytes);
        }
    }
}

fn view<'a>(file: &'a MappedFile, name: &'a str, tensor: &GgufTensor, rows: RowOrder) -> Result<StoredTensor<'a>> {
    let end = tensor.offset.checked_add(tensor.len);
    let bytes = end.and_then(|end| file.bytes().get(tensor.offset..end));
    let bytes = bytes
        .ok_or_else(|| invalid(file.path(), format!("expected `{name}` inside the file, got less; copy it again")))?;
    Ok(StoredTensor::new(name, tensor.stored, tensor.shape.clone(), bytes, rows))
}

/// Magic, version and the two counts: tensors, keys.
pub(super) fn read_preamble(path: &Path, cursor: &mut Cursor<'_>) -> Result<(usize, usize)> {
    let magic: [u8; 4] = cursor.array()?;
    if &magic != b"GGUF" {
        return Err(invalid(
            path,
            format!(
                "expected a GGUF file, got one that begins with `{}`; give a .gguf file or the folder of a model",
                magic.escape_ascii()
            ),
        ));
    }
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        let hint = if version.swap_bytes() <= 3 { "it is big-endian" } else { "convert the model again" };
        return Err(unsupported(path, format!("expected GGUF version 2 or 3, got {version}; {hint}")));
    }
    let (tensor_bytes, most_tensors) = tensors::COUNT_LIMITS;
    let (key_bytes, most_keys) = Metadata::COUNT_LIMITS;
    let tensor_count = cursor.count("tensors", tensor_bytes, most_tensors)?;
    let key_count = cursor.count("keys", key_bytes, most_keys)?;
    Ok((tensor_count, key_count))
}

/// A file must hold a whole model: not a part of one, nor an adapter or a vision tower.
fn refuse_parts(path: &Path, metadata: &Metadata) -> Result<()> {
    let (number, count) = (metadata.integer("split.no")?, metadata.integer("split.count")?);
    if let Some(count) = count.filter(|&count| count > 1) {
        let part = number.unwrap_or(0).saturating_add(1);
        let advice = "join its parts with `llama-gguf-split --merge FIRST-PART WHOLE.gguf`";
        return Err(unsupported(
            path,
            format!("expected a whole model, got part {part} of {count} of a split one; {advice}"),
        ));
    }
    match metadata.text("general.type")? {
        None | Some("model") => Ok(()),
        Some(other) => {
            let got = shown(&other.into());
            Err(unsupported(
                path,
                format!("expected a GGUF file of type \"model\", got {got}; give the file of the model"),
            ))
        }
    }
}

pub(super) fn alignment(path: &Path, metadata: &Metadata) -> Result<usize> {
    let alignment = metadata.uint32("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() || alignment > MAX_ALIGNMENT {
        return Err(invalid(
            path,
            format!(
                "expected a power of two up to {MAX_ALIGNMENT} as general.alignment, got {alignment}; \
                 convert the model again"
            ),
        ));
    }
    Ok(alignment as usize)
}

type Named = BTreeMap<String, (GgufTensor, RowOrder)>;
type RopeTable = Vec<(&'static str, GgufTensor)>;

/// Gives every tensor its Hugging Face name and row order, and the tensors of the rotation apart.
fn map_names(path: &Path, table: Vec<GgufTensor>, reader: &ConfigReader<'_>) -> Result<(Named, RopeTable)> {
    let head_dim = usize::try_from(reader.head_dim()?).unwrap_or(usize::MAX);
    let mut named = BTreeMap::new();
    let mut rope = Vec::new();
    for tensor in table {
        if let Some(known) = rope_keys::known(&tensor.name) {
            rope.push((known, tensor));
            continue;
        }
        let Some(name) = reader.architecture.hugging_face_name(&tensor.name) else {
            return Err(unsupported(
                path,
                format!(
                    "expected only tensors of a {} decoder, got `{}`; use another model",
                    reader.architecture.name, tensor.name
                ),
            ));
        };
        let rotated = reader.architecture.is_rotated(&name);
        let rows = tensor.shape.first().copied().unwrap_or(0);
        // Rows of less than a block cannot be put in order one by one.
        let whole_rows = tensor.shape.len() > 1 || tensor.stored.block_elements() == 1;
        if rotated && !(rows.is_multiple_of(head_dim) && whole_rows) {
            return Err(invalid(
                path,
                format!("expected rows in heads of {head_dim} in `{}`, got {rows}; the file is damaged", tensor.name),
            ));
        }
        let order = if rotated { RowOrder::Interleaved { head_dim } } else { RowOrder::Natural };
        // Two spellings of one layer number would map to one name.
        if let Some((other, _)) = named.insert(name, (tensor, order)) {
            return Err(invalid(
                path,
                format!("expected one tensor of each name, got `{}` twice; the file is damaged", other.name),
            ));
        }
    }
    Ok((named, rope))
}

/// The numbers of the tensors of the rotation, of which none may have more than a head has pairs.
fn read_rope_tensors(file: &MappedFile, table: &RopeTable, reader: &ConfigReader<'_>) -> Result<RopeTensors> {
    let pairs = reader.head_dim()? / 2;
    let mut tensors = Vec::new();
    for (name, tensor) in table {
        let stored = view(file, name, tensor, RowOrder::Natural)?;
        if stored.elements() as u64 > pairs {
            let got = stored.elements();
            return Err(invalid(file.path(), format!("expected at most {pairs} numbers in {name}, got {got}")));
        }
        let mut values = Vec::new();
        stored.to_f32(&mut values)?;
        tensors.push((*name, values));
    }
    Ok(tensors)
}
