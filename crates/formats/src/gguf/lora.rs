//! An adapter as the GGUF file that llama.cpp's `--lora` takes (`convert_lora_to_gguf.py`, `src/llama-adapter.cpp`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

use super::config_keys::ExportConfig;
use super::encode::Matrix;
use super::quantization::Quantization;
use super::writer::{GgufWriter, KeyWriter};
use crate::config::ModelConfig;
use crate::peft::{AdapterConfig, FactorKind, LoraTensors};
use crate::safetensors::TensorSpec;
use crate::stored_tensor::RowOrder;
use crate::stored_type::StoredType;

/// Writes the adapter of a model with this configuration. llama.cpp scales by alpha / rank, so the alpha of the file is the one
/// that gives this adapter's scale: for rank-stabilised LoRA that is not the alpha of its configuration.
///
/// # Errors
/// `ModelUnsupported` for a model that is not written as GGUF or a module that llama.cpp's architecture lacks; `NonFinite`;
/// `Io`. A file that was there stays as it was.
pub fn write_gguf_lora(
    path: &Path,
    name: &str,
    config: &ModelConfig,
    adapter: &AdapterConfig,
    modules: &BTreeMap<String, LoraTensors>,
    quantization: Quantization,
) -> Result<()> {
    let config = ExportConfig::new(config)?;
    let stored = match quantization {
        Quantization::F32 => StoredType::F32,
        Quantization::F16 => StoredType::F16,
        Quantization::Bf16 => StoredType::Bf16,
        _ => return Err(Error::argument("export.gguf.lora", "f32, f16 or bf16", quantization.name())),
    };
    let mut keys = KeyWriter::new(config.architecture.name);
    keys.text("general.type", "adapter");
    keys.text("general.name", name);
    keys.u32("general.file_type", quantization.file_type());
    keys.text("adapter.type", "lora");
    keys.f32("adapter.lora.alpha", adapter.scale() * adapter.r as f32);

    let mut factors = Vec::new();
    for (module, pair) in modules {
        let weight = format!("{module}.weight");
        let base = config.architecture.gguf_name(&weight);
        // llama.cpp finds factors by the name of a tensor, and a tied head and the embedding are one.
        let is_tied = config.tied && (module == "lm_head" || pair.kind == FactorKind::Embedding);
        let Some(base) = base.filter(|_| !is_tied) else {
            let architecture = config.architecture.name;
            let message =
                format!("expected modules of llama.cpp's `{architecture}`, got this one; merge the adapter instead");
            return Err(Error::new(Code::ModelUnsupported, module, message));
        };
        let rotated = config.architecture.is_rotated(&weight);
        let order = if rotated { RowOrder::Interleaved { head_dim: config.head_dim } } else { RowOrder::Natural };
        let spec = |end: &str, shape: &[usize]| {
            let name = format!("{base}.{end}");
            TensorSpec { name, stored, shape: shape.to_vec() }
        };
        let a = match pair.kind {
            FactorKind::Linear | FactorKind::Experts => Cow::Borrowed(&pair.a),
            // llama.cpp gathers the rows of its tokens.
            FactorKind::Embedding => Cow::Owned(pair.a.transposed()),
        };
        factors.push((spec("lora_a", &a.shape), RowOrder::Natural, a));
        factors.push((spec("lora_b", &pair.b.shape), order, Cow::Borrowed(&pair.b)));
    }
    let mut file = GgufWriter::create(path, &keys, factors.iter().map(|(spec, ..)| spec.clone()).collect())?;
    let mut bytes = Vec::new();
    for (spec, order, factor) in factors {
        let matrix = Matrix { name: &spec.name, spec: &spec, order, values: &factor.data, importance: None };
        matrix.encode(0, &mut bytes)?;
        file.write(&spec.name, &bytes)?;
    }
    file.finish()
}
