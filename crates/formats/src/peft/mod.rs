//! LoRA adapters as PEFT writes and reads them: `adapter_config.json` and `adapter_model.safetensors`
//! (<https://huggingface.co/docs/peft/developer_guides/checkpoint>).

mod config;
mod layout;
mod matching;
mod names;
mod options;
mod shapes;
mod tensors;
mod token_indices;

use std::collections::BTreeMap;
use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

pub use config::{AdapterConfig, EXPERT_PARAMETERS};
use layout::{Layout, Parts};
pub use matching::{Choice, Matcher};
pub use names::{FactorKind, b_bias_name, bias_name, magnitude_name, saved_name, token_rows_name, token_table_name};
pub use options::{InitLoraWeights, LoftqConfig, ModuleNames, TrainedBias};
use shapes::Shapes;
pub use tensors::{AdapterTensor, LoraTensors, ModuleTensors};
pub use token_indices::TokenIndices;

use crate::atomic_file::{create_dir, write_atomic};
use crate::finite::check_finite;
use crate::input::missing;
use crate::model_files::refuse_pickles;
use crate::safetensors::{F32Tensor, SafetensorsFile, write_safetensors};
use crate::stored_tensor::TensorSource;

/// File name of the configuration.
const CONFIG_FILE: &str = "adapter_config.json";
/// Folder inside that of an adapter which has taken its first values out of the base: the same adapter for the whole base.
pub const CONVERTED_FOLDER: &str = "converted";
/// File name of the tensors.
const TENSORS_FILE: &str = "adapter_model.safetensors";

/// An adapter as its folder holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterFiles {
    /// `adapter_config.json`.
    pub config: AdapterConfig,
    /// By the module's path in the base model.
    pub modules: BTreeMap<String, ModuleTensors>,
    /// Trained biases of layers that are not saved whole, by the module's path.
    pub biases: BTreeMap<String, AdapterTensor>,
    /// Trained rows of modules of which all other rows stay, by the module's path.
    pub tokens: BTreeMap<String, AdapterTensor>,
    /// The base model's own tensors, by their names there: PEFT saves head and embedding along with factors on one of them. They
    /// are to be what the base model has.
    pub copies: BTreeMap<String, AdapterTensor>,
}

/// Writes an adapter that PEFT loads: the folder is created where absent, each file appears whole or not at all. The names
/// of `tensors` come from [`FactorKind`], [`magnitude_name`] and [`saved_name`].
///
/// # Errors
/// Those of [`AdapterFiles::read`] for names and shapes it would not read; `Io`.
pub fn write_adapter(dir: &Path, config: &AdapterConfig, tensors: &[F32Tensor<'_>]) -> Result<()> {
    let shapes = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
    Layout::of(&dir.join(TENSORS_FILE), config, shapes)?;
    create_dir(dir)?;
    write_safetensors(&dir.join(TENSORS_FILE), tensors)?;
    write_atomic(&dir.join(CONFIG_FILE), format!("{:#}\n", config.to_json()).as_bytes())
}

/// Reads a plain LoRA adapter of one rank and one scale: its configuration and the factors of every adapted module, by module.
/// Where the folder has the adapter converted for the whole base as well, that is read.
///
/// # Errors
/// Those of [`AdapterFiles::read`]; `ModelUnsupported` names what is not plain.
pub fn read_adapter(dir: &Path) -> Result<(AdapterConfig, BTreeMap<String, LoraTensors>)> {
    let AdapterFiles { config, modules, .. } = match AdapterFiles::read(dir)? {
        own if own.config.init_lora_weights.is_exact() && dir.join(CONVERTED_FOLDER).is_dir() => {
            AdapterFiles::read(&dir.join(CONVERTED_FOLDER))?
        }
        own => own,
    };
    if let Some(key) = config.beyond_plain() {
        let message = format!("expected a plain LoRA adapter, got `{key}`; this is not implemented here");
        return Err(Error::new(Code::ModelUnsupported, dir.join(CONFIG_FILE).display().to_string(), message));
    }
    let plain = modules.into_iter().filter_map(|(module, tensors)| match tensors {
        ModuleTensors::Lora(factors) => Some((module, factors)),
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
            check_finite(name, 0, &data)?;
            Ok::<_, Error>(AdapterTensor { shape: stored.shape, data })
        };
        let Layout { modules: parts, biases, tokens, copies } = Layout::of(&path, &config, shapes)?;
        let mut modules = BTreeMap::new();
        for (module, parts) in parts {
            let tensors = match parts {
                Parts::Lora(Shapes { kind, magnitude, bias }) => ModuleTensors::Lora(LoraTensors {
                    kind,
                    a: read(&kind.a_name(module))?,
                    b: read(&kind.b_name(module))?,
                    magnitude: magnitude.map(|_| read(&magnitude_name(module))).transpose()?,
                    bias: bias.map(|_| read(&b_bias_name(module))).transpose()?,
                }),
                Parts::Saved(names) => {
                    let named = |name: &str| Ok((name.to_owned(), read(&saved_name(&format!("{module}.{name}")))?));
                    ModuleTensors::Saved(names.into_iter().map(named).collect::<Result<_>>()?)
                }
            };
            modules.insert(config.parameter_at(module).unwrap_or_else(|| module.to_owned()), tensors);
        }
        let copies = copies.into_iter().map(|(base, name)| Ok((base, read(name)?))).collect::<Result<_>>()?;
        let named = |list: BTreeMap<&str, &str>| {
            list.into_iter().map(|(module, name)| Ok((module.to_owned(), read(name)?))).collect::<Result<_>>()
        };
        let (biases, tokens) = (named(biases)?, named(tokens)?);
        Ok(Self { config, modules, biases, tokens, copies })
    }
}
