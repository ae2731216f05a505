//! A model as one GGUF file: configuration, tokenizer and weights, converted tensor by tensor.

use std::collections::BTreeSet;
use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

use super::config_keys::ExportConfig;
use super::tokenizer::GgufTokenizer;
use super::writer::{GgufWriter, KeyWriter};
use crate::config::ModelConfig;
use crate::quantize::{Refusal, quantize};
use crate::safetensors::TensorSpec;
use crate::stored_tensor::RowOrder;
use crate::stored_type::StoredType;
use crate::weights::{OnProgress, Progress, Weights, is_rotary_buffer};

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// How the matrices of a file are stored. Norms and biases are float32 in every file, as llama.cpp's converter has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// float32.
    F32,
    /// binary16.
    F16,
    /// bfloat16.
    Bf16,
    /// 8 bits and a scale for 32 weights.
    Q8_0,
    /// 4 bits and a scale for 32 weights; embedding and head in `Q8_0`, since they suffer most (llama-quantize keeps them in
    /// a larger type too).
    Q4_0,
}

impl Quantization {
    /// All, by the names Unsloth and llama.cpp give them, in small letters.
    pub const NAMES: [(&'static str, Self); 5] =
        [("f32", Self::F32), ("f16", Self::F16), ("bf16", Self::Bf16), ("q8_0", Self::Q8_0), ("q4_0", Self::Q4_0)];

    /// The name among [`Self::NAMES`].
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// `general.file_type`.
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
            Self::Bf16 => 32,
        }
    }

    /// The type of a matrix. Rows that are not whole blocks are stored as binary16.
    pub(super) fn of_matrix(self, name: &str, shape: &[usize]) -> StoredType {
        let stored = match self {
            Self::F32 => StoredType::F32,
            Self::F16 => StoredType::F16,
            Self::Bf16 => StoredType::Bf16,
            Self::Q4_0 if ![EMBEDDING, HEAD].contains(&name) => StoredType::Q4_0,
            Self::Q8_0 | Self::Q4_0 => StoredType::Q8_0,
        };
        if stored.byte_len(shape).is_some() { stored } else { StoredType::F16 }
    }
}

/// What is written where: a tensor of the file and where it comes from.
struct Entry {
    spec: TensorSpec,
    source: String,
}

/// Writes a model. Gives what a reader of the file should know.
///
/// # Errors
/// `ModelUnsupported` names what llama.cpp's architecture lacks; `FileInvalid` a tensor that is absent or has no place;
/// `NonFinite` a weight that the type cannot hold; `Aborted`; `Io`. A file that was there stays as it was.
pub fn write_gguf(
    path: &Path,
    name: &str,
    config: &ModelConfig,
    tokenizer: &GgufTokenizer,
    weights: &dyn Weights,
    quantization: Quantization,
    on_progress: &mut OnProgress<'_>,
) -> Result<Vec<String>> {
    let mut config = ExportConfig::new(config)?;
    let entries = entries(&config, weights, quantization)?;
    let vocab_size = weights.shape(EMBEDDING)?.first().copied().unwrap_or(0);
    let mut keys = KeyWriter::new(config.architecture.name);
    keys.text("general.type", "model");
    keys.text("general.name", name);
    keys.u32("general.file_type", quantization.file_type());
    keys.u32("general.quantization_version", 2);
    let rope = config.write(&mut keys, vocab_size)?;
    tokenizer.write(&mut keys, vocab_size)?;

    let stored = StoredType::F32;
    let rope_spec =
        |(name, values): &(&str, Vec<f32>)| TensorSpec { name: (*name).to_owned(), stored, shape: vec![values.len()] };
    let specs = rope.iter().map(rope_spec).chain(entries.iter().map(|entry| entry.spec.clone())).collect();
    let total = entries.iter().map(|entry| entry.spec.shape.iter().product::<usize>() as u64).sum();
    let mut progress = Progress::new(on_progress, total);
    let mut file = GgufWriter::create(path, &keys, specs)?;
    let (mut values, mut bytes) = (Vec::new(), Vec::new());
    for (name, values) in &rope {
        file.write(name, bytemuck::cast_slice(values))?;
    }
    for Entry { spec, source } in &entries {
        weights.read(source, &mut values)?;
        let offset = config.architecture.offset(source);
        values.iter_mut().for_each(|value| *value += offset);
        let rotated = config.architecture.is_rotated(source);
        let order = if rotated { RowOrder::Interleaved { head_dim: config.head_dim } } else { RowOrder::Natural };
        encode(source, spec, order, &values, &mut bytes)?;
        file.write(&spec.name, &bytes)?;
        progress.add(values.len(), &path.display().to_string())?;
    }
    file.finish()?;
    Ok(config.notes)
}

/// Every tensor of the file, in its order. A tensor that is absent, or left over, is an error.
fn entries(config: &ExportConfig<'_>, weights: &dyn Weights, quantization: Quantization) -> Result<Vec<Entry>> {
    let architecture = config.architecture;
    let mut left: BTreeSet<String> = weights.names().into_iter().filter(|name| !is_rotary_buffer(name)).collect();
    let mut entries = Vec::new();
    let mut add = |source: &str, target: &str| {
        let Some(name) = architecture.gguf_name(target) else {
            return Err(refuse(source, format!("expected a tensor of `{}`, got another", architecture.name)));
        };
        let shape = weights.shape(source)?;
        let stored = if shape.len() == 1 { StoredType::F32 } else { quantization.of_matrix(target, &shape) };
        if architecture.is_rotated(source) && !shape.first().is_some_and(|rows| rows.is_multiple_of(config.head_dim)) {
            return Err(refuse(source, format!("expected rows in heads of {}, got {shape:?}", config.head_dim)));
        }
        left.remove(source);
        entries.push(Entry { spec: TensorSpec { name, stored, shape }, source: source.to_owned() });
        Ok(())
    };
    add(EMBEDDING, EMBEDDING)?;
    for layer in 0..config.layers {
        for part in architecture.parts {
            let module = format!("model.layers.{layer}.{}", part.hugging_face);
            add(&format!("{module}.weight"), &format!("{module}.weight"))?;
            let bias = format!("{module}.bias");
            if weights.contains(&bias) {
                add(&bias, &bias)?;
            }
        }
    }
    add("model.norm.weight", "model.norm.weight")?;
    if let Some(source) = config.head()? {
        add(source, HEAD)?;
    }
    if config.tied {
        left.remove(HEAD);
    }
    match left.first() {
        None => Ok(entries),
        Some(name) => Err(refuse(
            name,
            format!(
                "expected only tensors that llama.cpp's `{}` has, got this one; keep the model as safetensors",
                architecture.name
            ),
        )),
    }
}

/// The stored form of a tensor, rows in the order of the file.
pub(super) fn encode(
    name: &str,
    spec: &TensorSpec,
    order: RowOrder,
    values: &[f32],
    bytes: &mut Vec<u8>,
) -> Result<()> {
    bytes.clear();
    let rows = spec.shape.first().copied().unwrap_or(1).max(1);
    let columns = values.len().checked_div(rows).unwrap_or(0);
    let mut places: Vec<(usize, usize)> = (0..rows).map(|row| (order.file_row(row), row)).collect();
    places.sort_unstable();
    let mut rows = values.chunks(columns.max(1)).collect::<Vec<_>>();
    rows.resize(places.len(), &[]);
    for (_, row) in places {
        let row_values = rows.get(row).copied().unwrap_or_default();
        quantize(spec.stored, row_values, bytes).map_err(|refusal| match refusal {
            Refusal::Element(place) => Error::new(
                Code::NonFinite,
                name,
                format!(
                    "expected weights that {} holds, got {} in row {row}; write another type, such as bf16",
                    spec.stored.name(),
                    row_values.get(place).copied().unwrap_or(f32::NAN)
                ),
            ),
            Refusal::Type => refuse(name, format!("expected a type that is written, got {}", spec.stored.name())),
        })?;
    }
    Ok(())
}

fn refuse(name: &str, message: impl Into<String>) -> Error {
    Error::new(Code::ModelUnsupported, name, message)
}
