//! An adapter as the GGUF file that llama.cpp's `--lora` takes (`convert_lora_to_gguf.py`, `src/llama-adapter.cpp`).

use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

use super::config_keys::ExportConfig;
use super::export::{Quantization, encode};
use super::writer::{GgufWriter, KeyWriter};
use crate::config::ModelConfig;
use crate::peft::{AdapterConfig, LoraPair};
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
    pairs: &[LoraPair],
    quantization: Quantization,
) -> Result<()> {
    let config = ExportConfig::new(config)?;
    let stored = match quantization {
        Quantization::F32 => StoredType::F32,
        Quantization::F16 => StoredType::F16,
        Quantization::Bf16 => StoredType::Bf16,
        Quantization::Q8_0 | Quantization::Q4_0 => {
            return Err(Error::argument("export.gguf.lora", "f32, f16 or bf16", quantization.name()));
        }
    };
    let mut keys = KeyWriter::new(config.architecture.name);
    keys.text("general.type", "adapter");
    keys.text("general.name", name);
    keys.u32("general.file_type", quantization.file_type());
    keys.text("adapter.type", "lora");
    keys.f32("adapter.lora.alpha", adapter.scale() * adapter.r as f32);

    let mut factors = Vec::new();
    for pair in pairs {
        let weight = format!("{}.weight", pair.module);
        let base = config.architecture.gguf_name(&weight);
        let is_tied_head = pair.module == "lm_head" && config.tied;
        let Some(base) = base.filter(|_| !is_tied_head) else {
            let architecture = config.architecture.name;
            let message =
                format!("expected modules of llama.cpp's `{architecture}`, got this one; merge the adapter instead");
            return Err(Error::new(Code::ModelUnsupported, &pair.module, message));
        };
        let rotated = config.architecture.is_rotated(&weight);
        let order = if rotated { RowOrder::Interleaved { head_dim: config.head_dim } } else { RowOrder::Natural };
        let width = |factor: &[f32]| factor.len().checked_div(adapter.r).unwrap_or(0);
        let spec = |end: &str, shape| TensorSpec { name: format!("{base}.{end}"), stored, shape };
        factors.push((spec("lora_a", vec![adapter.r, width(&pair.a)]), RowOrder::Natural, &pair.a));
        factors.push((spec("lora_b", vec![width(&pair.b), adapter.r]), order, &pair.b));
    }
    let mut file = GgufWriter::create(path, &keys, factors.iter().map(|(spec, ..)| spec.clone()).collect())?;
    let mut bytes = Vec::new();
    for (spec, order, values) in factors {
        encode(&spec.name, &spec, order, values, &mut bytes)?;
        file.write(&spec.name, &bytes)?;
    }
    file.finish()
}
