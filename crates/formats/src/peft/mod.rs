//! LoRA adapters as PEFT writes and reads them: `adapter_config.json` and `adapter_model.safetensors`
//! (<https://huggingface.co/docs/peft/developer_guides/checkpoint>).

mod config;
mod matching;
mod options;

use std::collections::BTreeMap;
use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

pub use config::AdapterConfig;
pub use matching::{Choice, Matcher};
pub use options::{InitLoraWeights, ModuleNames};

use crate::atomic_file::{create_dir, write_atomic};
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
/// What PEFT appends to it for the two factors.
const A_SUFFIX: &str = ".lora_A.weight";
const B_SUFFIX: &str = ".lora_B.weight";
/// And for the lengths of the rows of a DoRA.
const MAGNITUDE_SUFFIX: &str = ".lora_magnitude_vector";

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

    /// Name of a DoRA's row lengths in an adapter file.
    pub fn magnitude_name(module: &str) -> String {
        format!("{PREFIX}{module}{MAGNITUDE_SUFFIX}")
    }

    /// Name in an adapter file of a tensor of a module that is saved whole. `tensor` is its name in the base model.
    pub fn saved_name(tensor: &str) -> String {
        format!("{PREFIX}{tensor}")
    }
}

/// A tensor of an adapter file, converted to float32.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterTensor {
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub data: Vec<f32>,
}

/// The tensors of one module in an adapter file.
#[derive(Debug, Clone, PartialEq)]
pub enum ModuleTensors {
    /// Low-rank factors.
    Lora {
        /// A \[r, in\].
        a: AdapterTensor,
        /// B \[out, r\].
        b: AdapterTensor,
        /// Lengths \[out\] of a DoRA's rows.
        magnitude: Option<AdapterTensor>,
    },
    /// The module's own tensors, by their last names (`weight`, `bias`).
    Saved(BTreeMap<String, AdapterTensor>),
}

/// An adapter as its folder holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterFiles {
    /// `adapter_config.json`.
    pub config: AdapterConfig,
    /// By the module's path in the base model.
    pub modules: BTreeMap<String, ModuleTensors>,
}

/// Writes an adapter that PEFT loads: the folder is created where absent, each file appears whole or not at all. The names
/// of `tensors` come from [`LoraPair`].
///
/// # Errors
/// Those of [`AdapterFiles::read`] for names and shapes it would not read; `Io`.
pub fn write_adapter(dir: &Path, config: &AdapterConfig, tensors: &[F32Tensor<'_>]) -> Result<()> {
    let shapes = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
    check(&dir.join(TENSORS_FILE), config, shapes)?;
    create_dir(dir)?;
    write_safetensors(&dir.join(TENSORS_FILE), tensors)?;
    write_atomic(&dir.join(CONFIG_FILE), format!("{:#}\n", config.to_json()).as_bytes())
}

/// Reads a plain LoRA adapter of one rank and one scale: its configuration and the factors of every adapted module, sorted by
/// module.
///
/// # Errors
/// Those of [`AdapterFiles::read`]; `ModelUnsupported` names what is not plain.
pub fn read_adapter(dir: &Path) -> Result<(AdapterConfig, Vec<LoraPair>)> {
    let AdapterFiles { config, modules } = AdapterFiles::read(dir)?;
    if let Some(key) = config.beyond_plain() {
        let message = format!("expected a plain LoRA adapter, got `{key}`; this is not implemented here");
        return Err(Error::new(Code::ModelUnsupported, dir.join(CONFIG_FILE).display().to_string(), message));
    }
    let plain = modules.into_iter().filter_map(|(module, tensors)| match tensors {
        ModuleTensors::Lora { a, b, .. } => Some(LoraPair { module, a: a.data, b: b.data }),
        ModuleTensors::Saved(_) => None,
    });
    Ok((config, plain.collect()))
}

impl AdapterFiles {
    /// Reads an adapter's folder.
    ///
    /// # Errors
    /// `FileMissing`, `FileInvalid`; `ModelUnsupported` names a key or tensor of a feature that is not implemented;
    /// `ConfigInvalid` names a tensor whose shape does not fit the configuration or that lacks its partner.
    pub fn read(dir: &Path) -> Result<Self> {
        let config = AdapterConfig::read(&dir.join(CONFIG_FILE))?;
        let path = dir.join(TENSORS_FILE);
        if !path.exists() {
            refuse_pickles(dir)?;
            return Err(missing(
                &path,
                "expected the adapter's tensors, got no such file; give the folder of an adapter",
            ));
        }
        let file = SafetensorsFile::open(&path)?;
        let mut shapes = Vec::new();
        for name in file.names() {
            let shape = file.get(&name)?.shape;
            shapes.push((name, shape));
        }
        let shapes = shapes.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()));
        let read = |name: &str| {
            let stored = file.get(name)?;
            let mut data = Vec::new();
            stored.to_f32(&mut data)?;
            Ok::<_, Error>(AdapterTensor { shape: stored.shape, data })
        };
        let mut modules = BTreeMap::new();
        for (module, parts) in check(&path, &config, shapes)? {
            let tensors = match parts {
                Parts::Lora { magnitude, .. } => ModuleTensors::Lora {
                    a: read(&LoraPair::a_name(module))?,
                    b: read(&LoraPair::b_name(module))?,
                    magnitude: magnitude.map(|_| read(&LoraPair::magnitude_name(module))).transpose()?,
                },
                Parts::Saved(names) => {
                    let named = |name: &str| Ok((name.to_owned(), read(&format!("{PREFIX}{module}.{name}"))?));
                    ModuleTensors::Saved(names.into_iter().map(named).collect::<Result<_>>()?)
                }
            };
            modules.insert(module.to_owned(), tensors);
        }
        Ok(Self { config, modules })
    }
}

/// The shapes of one module's tensors, while they are checked.
enum Parts<'a> {
    Lora { a: Option<&'a [usize]>, b: Option<&'a [usize]>, magnitude: Option<&'a [usize]> },
    Saved(Vec<&'a str>),
}

/// Checks that every tensor belongs to a module as the configuration says, that factors come in pairs and that their shapes
/// fit the rank; gives the parts of the modules, sorted.
fn check<'a>(
    path: &Path,
    config: &AdapterConfig,
    shapes: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<BTreeMap<&'a str, Parts<'a>>> {
    let refuse = |code, message| Error::new(code, path.display().to_string(), message);
    let matcher = Matcher::new(config)?;
    let mut modules: BTreeMap<&str, Parts<'a>> = BTreeMap::new();
    for (name, shape) in shapes {
        let Some((module, suffix)) = split(name, &matcher) else {
            let message = format!(
                "expected {PREFIX}…{A_SUFFIX}, …{B_SUFFIX} or a tensor of modules_to_save, got `{name}`; \
                 this kind of adapter is not implemented"
            );
            return Err(refuse(Code::ModelUnsupported, message));
        };
        let entry = modules.entry(module);
        if suffix.starts_with(".lora_") {
            let parts = entry.or_insert(Parts::Lora { a: None, b: None, magnitude: None });
            let Parts::Lora { a, b, magnitude } = parts else {
                let message = format!("expected `{module}` either adapted or saved whole, got both; correct the file");
                return Err(refuse(Code::ConfigInvalid, message));
            };
            let slot = match suffix {
                A_SUFFIX => a,
                B_SUFFIX => b,
                _ => magnitude,
            };
            *slot = Some(shape);
        } else if let Parts::Saved(names) = entry.or_insert(Parts::Saved(Vec::new())) {
            names.push(&suffix[1..]);
        } else {
            let message = format!("expected `{module}` either adapted or saved whole, got both; correct the file");
            return Err(refuse(Code::ConfigInvalid, message));
        }
    }
    for (module, parts) in &modules {
        if let Parts::Lora { a, b, magnitude } = parts {
            let (rank, _) = matcher.rank_and_scale(module)?;
            let problem = misfit(module, rank, config.use_dora, *a, *b, *magnitude);
            problem.map_or(Ok(()), |message| Err(refuse(Code::ConfigInvalid, message)))?;
        }
    }
    Ok(modules)
}

/// Module and suffix of a tensor's name.
fn split<'a>(name: &'a str, matcher: &Matcher<'_>) -> Option<(&'a str, &'a str)> {
    let rest = name.strip_prefix(PREFIX)?;
    for suffix in [A_SUFFIX, B_SUFFIX, MAGNITUDE_SUFFIX] {
        if let Some(module) = rest.strip_suffix(suffix) {
            return Some((module, &rest[module.len()..]));
        }
    }
    let module = &rest[..rest.rfind('.')?];
    (!rest.contains(".lora_") && matcher.is_saved(module)).then(|| (module, &rest[module.len()..]))
}

fn misfit(
    module: &str,
    rank: usize,
    dora: bool,
    a: Option<&[usize]>,
    b: Option<&[usize]>,
    magnitude: Option<&[usize]>,
) -> Option<String> {
    let (Some(a), Some(b)) = (a, b) else {
        return Some(format!("expected lora_A and lora_B of `{module}`, got one of them; the adapter is not whole"));
    };
    let wrong = |name: &str, expected: &str, shape: &[usize]| {
        Some(format!(
            "expected shape {expected} with r = {rank} in {name} of `{module}`, got {shape:?}; \
             the adapter contradicts its configuration"
        ))
    };
    if a.len() != 2 || a[0] != rank || a[1] == 0 {
        return wrong("lora_A", "[r, in]", a);
    }
    if b.len() != 2 || b[1] != rank || b[0] == 0 {
        return wrong("lora_B", "[out, r]", b);
    }
    match (dora, magnitude) {
        (true, Some(shape)) if shape != [b[0]] => wrong("lora_magnitude_vector", "[out]", shape),
        (true, None) | (false, Some(_)) => {
            let got = if dora { "none" } else { "one" };
            let key = format!("use_dora {dora}");
            Some(format!(
                "expected the lora_magnitude_vector of `{module}` to go with {key}, got {got}; correct the file"
            ))
        }
        _ => None,
    }
}
