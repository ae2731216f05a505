//! A model as one GGUF file: configuration, tokenizer and weights, converted tensor by tensor.

use std::collections::BTreeSet;
use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

use super::config_keys::ExportConfig;
use super::encode::Matrix;
use super::importance::ImportanceMatrix;
use super::quantization::{Mixed, Quantization};
use super::tokenizer::GgufTokenizer;
use super::writer::{GgufWriter, KeyWriter};
use crate::config::ModelConfig;
use crate::safetensors::TensorSpec;
use crate::stored_tensor::RowOrder;
use crate::stored_type::StoredType;
use crate::weights::{OnProgress, Progress, Weights, is_rotary_buffer};

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// What is written where: a tensor of the file and where it comes from.
struct Entry {
    spec: TensorSpec,
    source: String,
}

/// Writes a model. Gives what a reader of the file should know. An importance of the columns weighs the errors of the types that
/// search for their scales.
///
/// # Errors
/// `ArgumentInvalid` for an importance of another model; `ModelUnsupported` names what llama.cpp's architecture lacks; `FileInvalid` a tensor that is absent or has no place;
/// `NonFinite` a weight that the type cannot hold; `Aborted`; `Io`. A file that was there stays as it was.
pub fn write_gguf(
    path: &Path,
    name: &str,
    config: &ModelConfig,
    tokenizer: &GgufTokenizer,
    weights: &dyn Weights,
    quantization: Quantization,
    importance: Option<&ImportanceMatrix>,
    on_progress: &mut OnProgress<'_>,
) -> Result<Vec<String>> {
    let mut config = ExportConfig::new(config)?;
    let entries = entries(&config, weights, quantization, importance.is_some())?;
    let vocab_size = weights.shape(EMBEDDING)?.first().copied().unwrap_or(0);
    let mut keys = KeyWriter::new(config.architecture.name);
    keys.text("general.type", "model");
    keys.text("general.name", name);
    keys.u32("general.file_type", quantization.file_type());
    keys.u32("general.quantization_version", 2);
    if let Some(importance) = importance {
        let searched = entries.iter().filter(|entry| is_searched(entry.spec.stored));
        config.notes.extend(importance.check(searched.map(|entry| &entry.spec))?);
        importance.write(&mut keys);
    }
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
        let importance = importance.filter(|_| is_searched(spec.stored)).and_then(|importance| importance.of(spec));
        Matrix { name: source, spec, order, values: &values, importance }.encode(0, &mut bytes)?;
        file.write(&spec.name, &bytes)?;
        progress.add(values.len(), &path.display().to_string())?;
    }
    file.finish()?;
    Ok(config.notes)
}

/// Every tensor of the file, in its order. A tensor that is absent, or left over, is an error.
fn entries(
    config: &ExportConfig<'_>,
    weights: &dyn Weights,
    quantization: Quantization,
    important: bool,
) -> Result<Vec<Entry>> {
    let architecture = config.architecture;
    let mixed = Mixed { tied: config.head()?.is_none(), important, ..config.mixed() };
    let mut left: BTreeSet<String> = weights.names().into_iter().filter(|name| !is_rotary_buffer(name)).collect();
    let mut entries = Vec::new();
    let mut add = |source: &str, target: &str| {
        let Some(name) = architecture.gguf_name(target) else {
            return Err(refuse(source, format!("expected a tensor of `{}`, got another", architecture.name)));
        };
        let shape = weights.shape(source)?;
        let stored = if shape.len() == 1 { StoredType::F32 } else { quantization.of_matrix(&name, &shape, mixed) };
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

/// Whether the search for a type's scales weighs errors by column.
fn is_searched(stored: StoredType) -> bool {
    stored.block_elements() > 1 && stored != StoredType::Q8_0
}

fn refuse(name: &str, message: impl Into<String>) -> Error {
    Error::new(Code::ModelUnsupported, name, message)
}
