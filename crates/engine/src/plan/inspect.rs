//! What can be said of a model's files before a weight is read: whether every tensor is there and fits, and which are not used.

use std::path::Path;

use tunesmith_formats::{ModelConfig as HfConfig, TensorSource, some_of};
use tunesmith_ops::Result;

use super::ledger::{DeviceLayout, Ledger};
use crate::adapter::Adapter;
use crate::config::ModelConfig;
use crate::load::{Grown, NewRows, WeightOptions, load};

/// Goes over the files as loading would, and gives what their user should know. An adapter's own tensors are read, and must be whole
/// and fit.
///
/// # Errors
/// `ConfigInvalid` and `ModelUnsupported` by the configuration, `FileInvalid` for a missing tensor or a wrong shape; those of
/// reading the adapter.
pub fn inspect(hf_config: &HfConfig, source: &dyn TensorSource, adapter: Option<&Path>) -> Result<Vec<String>> {
    let ledger = Ledger::new(DeviceLayout::CPU);
    let options = WeightOptions::default();
    let tied = ModelConfig::new(hf_config)?.tied;
    let grown = Grown::asked(tied, source, adapter.map(NewRows::of))?;
    let hf_config = &grown.as_ref().map_or_else(|| hf_config.clone(), |grown| grown.config(hf_config));
    let source = grown.as_ref().map_or(source, |grown| grown as &dyn TensorSource);
    let mut loaded = load(&ledger, source, false, &options, ModelConfig::new(hf_config)?)?;
    if let Some(folder) = adapter {
        Adapter::read(&ledger, &mut loaded.decoder, folder)?;
    }
    let mut warnings = loaded.warnings;
    if !loaded.unused.is_empty() {
        let place = source.files().first().map_or_else(String::new, |file| format!("{}: ", file.display()));
        let names = some_of(&loaded.unused);
        warnings.push(format!("{place}tensors that this model does not have are not used: {names}"));
    }
    Ok(warnings)
}
