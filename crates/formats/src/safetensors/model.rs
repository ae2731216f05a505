//! The weights of a model as one safetensors file, or as shards with an index, in Hugging Face's layout.

use std::path::Path;

use serde_json::{Map, Value, json};
use tunesmith_ops::{Code, DType, Error, Result};

use super::writer::{SafetensorsWriter, TensorSpec};
use crate::atomic_file::write_atomic;
use crate::quantize::{Refusal, quantize};
use crate::stored_type::StoredType;
use crate::weights::{OnProgress, Progress, Weights};

/// Bytes of a shard where none are given: Hugging Face's 5GB.
pub const DEFAULT_SHARD_BYTES: u64 = 5_000_000_000;

/// Writes all weights in one type into an existing folder, tensor by tensor: `model.safetensors`, or where that would pass
/// `max_shard_bytes` `model-00001-of-0000N.safetensors` with `model.safetensors.index.json`. A tensor that is larger than a
/// shard gets one of its own.
///
/// # Errors
/// `NonFinite` names a weight that the type cannot hold; `Aborted`; `Io`; those of reading.
pub fn write_model(
    dir: &Path,
    weights: &dyn Weights,
    dtype: DType,
    max_shard_bytes: u64,
    on_progress: &mut OnProgress<'_>,
) -> Result<()> {
    let stored = match dtype {
        DType::F32 => StoredType::F32,
        DType::F16 => StoredType::F16,
        DType::Bf16 => StoredType::Bf16,
        other => return Err(Error::argument("merge.dtype", "float32, float16 or bfloat16", other.name())),
    };
    let (mut shards, mut elements, mut total_bytes) = (vec![Vec::new()], 0_u64, 0_u64);
    let mut shard_bytes = 0_u64;
    for name in weights.names() {
        let shape = weights.shape(&name)?;
        let bytes = stored.byte_len(&shape).unwrap_or(usize::MAX) as u64;
        if shard_bytes > 0 && shard_bytes.saturating_add(bytes) > max_shard_bytes {
            shards.push(Vec::new());
            shard_bytes = 0;
        }
        shard_bytes = shard_bytes.saturating_add(bytes);
        total_bytes = total_bytes.saturating_add(bytes);
        elements = elements.saturating_add(shape.iter().product::<usize>() as u64);
        if let Some(shard) = shards.last_mut() {
            shard.push(TensorSpec { name, stored, shape });
        }
    }
    let mut progress = Progress::new(on_progress, elements);
    let count = shards.len();
    let mut weight_map = Map::new();
    for (number, specs) in (1_usize..).zip(shards) {
        let file = match count {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{number:05}-of-{count:05}.safetensors"),
        };
        weight_map.extend(specs.iter().map(|spec| (spec.name.clone(), Value::from(file.as_str()))));
        write_shard(&dir.join(&file), specs, weights, &mut progress)?;
    }
    if count == 1 {
        return Ok(());
    }
    let metadata = json!({ "total_parameters": elements, "total_size": total_bytes });
    let index = json!({ "metadata": metadata, "weight_map": weight_map });
    write_atomic(&dir.join("model.safetensors.index.json"), format!("{index:#}\n").as_bytes())
}

fn write_shard(
    path: &Path,
    specs: Vec<TensorSpec>,
    weights: &dyn Weights,
    progress: &mut Progress<'_, '_>,
) -> Result<()> {
    let mut writer = SafetensorsWriter::create(path, specs)?;
    let (mut values, mut bytes) = (Vec::new(), Vec::new());
    for TensorSpec { name, stored, .. } in writer.specs().to_vec() {
        weights.read(&name, &mut values)?;
        bytes.clear();
        quantize(stored, &values, None, &mut bytes).map_err(|refusal| {
            let Refusal::Element(place) = refusal else {
                return Error::new(Code::Internal, &name, "expected a type that is written; please report this");
            };
            let message = format!(
                "expected weights that {} holds, got {} at element {place}; write another type, such as bfloat16",
                stored.name(),
                values.get(place).copied().unwrap_or(f32::NAN)
            );
            Error::new(Code::NonFinite, &name, message)
        })?;
        writer.write(&name, &bytes)?;
        progress.add(values.len(), &path.display().to_string())?;
    }
    writer.finish()
}
