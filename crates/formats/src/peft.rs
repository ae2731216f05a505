//! LoRA adapters as PEFT writes and reads them: `adapter_config.json` and `adapter_model.safetensors`
//! (<https://huggingface.co/docs/peft/developer_guides/checkpoint>).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tunesmith_ops::{Code, Error, Result};

use crate::atomic_file::{create_dir, write_atomic};
use crate::config::{ModelConfig, shown};
use crate::input::missing;
use crate::model_files::refuse_pickles;
use crate::safetensors::{F32Tensor, SafetensorsFile, write_safetensors};
use crate::stored_tensor::TensorSource;

/// File name of the configuration.
const CONFIG_FILE: &str = "adapter_config.json";
/// File name of the tensors.
const TENSORS_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before a module's path.
const PREFIX: &str = "base_model.model.";
/// What PEFT puts behind it for the two factors.
const A_SUFFIX: &str = ".lora_A.weight";
const B_SUFFIX: &str = ".lora_B.weight";

/// Keys of PEFT 0.21 that change nothing once an adapter is trained, whatever their value, or only together with a key that
/// is refused.
const WITHOUT_EFFECT: [&str; 7] = [
    "auto_mapping",
    "base_model_class",
    "inference_mode",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "task_type",
];

/// A LoRA adapter's configuration: the keys of PEFT's `LoraConfig` that are implemented. All others must be at rest.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterConfig {
    /// Where the base model came from.
    pub base_model_name_or_path: Option<String>,
    /// Revision of the base model.
    pub revision: Option<String>,
    /// Rank.
    pub r: usize,
    /// Numerator of the scale.
    pub lora_alpha: f64,
    /// Dropout before A, from 0 up to but not including 1; used in training only.
    pub lora_dropout: f64,
    /// Scale alpha / √r in place of alpha / r (Kalajdzievski 2023).
    pub use_rslora: bool,
    /// Names of the adapted modules, sorted: the last parts of their paths, such as `q_proj`.
    pub target_modules: Vec<String>,
}

/// The two factors of one adapted module, converted to float32.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraPair {
    /// Path of the module in the base model, such as `model.layers.0.self_attn.q_proj`.
    pub module: String,
    /// A \[r, in\], row-major.
    pub a: Vec<f32>,
    /// B \[out, r\], row-major.
    pub b: Vec<f32>,
}

impl LoraPair {
    /// Name of A in an adapter file.
    pub fn a_name(module: &str) -> String {
        format!("{PREFIX}{module}{A_SUFFIX}")
    }

    /// Name of B in an adapter file.
    pub fn b_name(module: &str) -> String {
        format!("{PREFIX}{module}{B_SUFFIX}")
    }
}

impl AdapterConfig {
    /// The configuration of a new adapter without dropout. `target_modules` are the last parts of the adapted paths.
    pub fn lora(base: &str, r: usize, lora_alpha: f64, use_rslora: bool, mut target_modules: Vec<String>) -> Self {
        target_modules.sort();
        target_modules.dedup();
        let base_model_name_or_path = Some(base.to_owned());
        Self { base_model_name_or_path, revision: None, r, lora_alpha, lora_dropout: 0.0, use_rslora, target_modules }
    }

    /// Factor of B·A·x: alpha / r, or alpha / √r.
    pub fn scale(&self) -> f32 {
        let rank = self.r as f64;
        (self.lora_alpha / if self.use_rslora { rank.sqrt() } else { rank }) as f32
    }

    /// Reads `adapter_config.json`.
    ///
    /// # Errors
    /// `ModelUnsupported` names a key that asks for something else than plain LoRA; `ConfigInvalid` a number out of range;
    /// `FileMissing`.
    pub fn read(path: &Path) -> Result<Self> {
        let config = ModelConfig::read(path)?;
        refuse_other_features(&config)?;
        let list = config.optional_strings("target_modules")?.unwrap_or_default();
        let mut target_modules: Vec<String> = list.into_iter().map(str::to_owned).collect();
        target_modules.sort();
        target_modules.dedup();
        let lora_dropout = config.value("lora_dropout").map_or(Some(0.0), Value::as_f64);
        let Some(lora_dropout) = lora_dropout.filter(|dropout| (0.0..1.0).contains(dropout)) else {
            return Err(config.refuse(
                Code::ConfigInvalid,
                "expected `lora_dropout` from 0 to below 1, got another value; correct it",
            ));
        };
        Ok(Self {
            base_model_name_or_path: config.optional_string("base_model_name_or_path")?.map(str::to_owned),
            revision: config.optional_string("revision")?.map(str::to_owned),
            r: config.size("r")?,
            lora_alpha: config.positive("lora_alpha")?,
            lora_dropout,
            use_rslora: config.flag("use_rslora", false)?,
            target_modules,
        })
    }

    fn to_json(&self) -> Value {
        // PEFT's own files hold whole numbers as integers.
        let whole = self.lora_alpha.fract() == 0.0 && self.lora_alpha < 1e15;
        let alpha = if whole { json!(self.lora_alpha as u64) } else { json!(self.lora_alpha) };
        let mut targets = self.target_modules.clone();
        targets.sort();
        json!({
            "alpha_pattern": {},
            "auto_mapping": null,
            "base_model_name_or_path": self.base_model_name_or_path,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "layers_pattern": null,
            "layers_to_transform": null,
            "lora_alpha": alpha,
            "lora_dropout": self.lora_dropout,
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": self.r,
            "rank_pattern": {},
            "revision": self.revision,
            "target_modules": targets,
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": self.use_rslora,
        })
    }
}

fn refuse_other_features(config: &ModelConfig) -> Result<()> {
    for (key, value) in config.as_map() {
        let at_rest = match key.as_str() {
            "base_model_name_or_path" | "revision" | "r" | "lora_alpha" | "lora_dropout" | "use_rslora" => true,
            "target_modules" => value.is_array(),
            "peft_type" => value == "LORA",
            "bias" => value == "none",
            // Other ways to begin change the base weights as well, or have been undone before saving.
            "init_lora_weights" => value.is_boolean() || value == "gaussian",
            known if WITHOUT_EFFECT.contains(&known) => true,
            _ => match value {
                Value::Null | Value::Bool(false) => true,
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            },
        };
        if !at_rest {
            return Err(config.refuse(
                Code::ModelUnsupported,
                format!(
                    "expected a plain LoRA adapter, got `{key}`: {}; this feature is not implemented",
                    shown(value)
                ),
            ));
        }
    }
    Ok(())
}

/// Writes an adapter that PEFT loads: the folder is created where absent, each file appears whole or not at all. The names
/// of `tensors` come from [`LoraPair::a_name`] and [`LoraPair::b_name`].
///
/// # Errors
/// Those of [`read_adapter`] for names and shapes it would not read; `Io`.
pub fn write_adapter(dir: &Path, config: &AdapterConfig, tensors: &[F32Tensor<'_>]) -> Result<()> {
    let shapes = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
    check_factors(&dir.join(TENSORS_FILE), config.r, shapes)?;
    create_dir(dir)?;
    write_safetensors(&dir.join(TENSORS_FILE), tensors)?;
    write_atomic(&dir.join(CONFIG_FILE), format!("{:#}\n", config.to_json()).as_bytes())
}

/// Reads an adapter: its configuration and the factors of every adapted module, sorted by module.
///
/// # Errors
/// `FileMissing`, `FileInvalid`; `ModelUnsupported` names a key or tensor that is not plain LoRA; `ConfigInvalid` names a
/// factor whose shape does not fit the rank or that lacks its partner.
pub fn read_adapter(dir: &Path) -> Result<(AdapterConfig, Vec<LoraPair>)> {
    let config = AdapterConfig::read(&dir.join(CONFIG_FILE))?;
    let path = dir.join(TENSORS_FILE);
    if !path.exists() {
        refuse_pickles(dir)?;
        return Err(missing(&path, "expected the adapter's tensors, got no such file; give the folder of an adapter"));
    }
    let file = SafetensorsFile::open(&path)?;
    let mut shapes = Vec::new();
    for name in file.names() {
        let shape = file.get(&name)?.shape;
        shapes.push((name, shape));
    }
    let shapes = shapes.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()));
    let mut pairs = Vec::new();
    for module in check_factors(&path, config.r, shapes)? {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        file.get(&LoraPair::a_name(&module))?.to_f32(&mut a)?;
        file.get(&LoraPair::b_name(&module))?.to_f32(&mut b)?;
        pairs.push(LoraPair { module, a, b });
    }
    Ok((config, pairs))
}

/// Checks that every tensor is a factor of a module, that factors come in pairs and that their shapes fit the rank; gives
/// the modules, sorted.
fn check_factors<'a>(
    path: &Path,
    rank: usize,
    shapes: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<Vec<String>> {
    let refuse = |code, message| Err(Error::new(code, path.display().to_string(), message));
    // Which of A and B have been seen.
    let mut modules: BTreeMap<&str, [bool; 2]> = BTreeMap::new();
    for (name, shape) in shapes {
        let module = |suffix: &str| name.strip_prefix(PREFIX)?.strip_suffix(suffix);
        let (module, factor) = match (module(A_SUFFIX), module(B_SUFFIX)) {
            (Some(module), _) => (module, 0),
            (_, Some(module)) => (module, 1),
            _ => {
                let message = format!(
                    "expected {PREFIX}…{A_SUFFIX} or …{B_SUFFIX}, got `{name}`; this kind of adapter is not implemented"
                );
                return refuse(Code::ModelUnsupported, message);
            }
        };
        // The rank is dimension 0 of A and dimension 1 of B.
        if shape.len() != 2 || shape[factor] != rank || shape.contains(&0) {
            let expected = ["[r, in]", "[out, r]"][factor];
            let message = format!(
                "expected shape {expected} with r = {rank} in `{name}`, got {shape:?}; \
                 the adapter contradicts its configuration"
            );
            return refuse(Code::ConfigInvalid, message);
        }
        modules.entry(module).or_default()[factor] = true;
    }
    if let Some((module, _)) = modules.iter().find(|(_, seen)| **seen != [true, true]) {
        let message = format!("expected lora_A and lora_B of `{module}`, got one of them; the adapter is not whole");
        return refuse(Code::ConfigInvalid, message);
    }
    Ok(modules.into_keys().map(str::to_owned).collect())
}
