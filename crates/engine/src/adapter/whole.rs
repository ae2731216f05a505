//! Whether what an adapter's files hold is all that their configuration promises, and made on this model.

use std::collections::BTreeMap;

use tunesmith_formats::{AdapterFiles, AdapterTensor, Choice, Matcher, some_of};
use tunesmith_ops::{Backend, Code, Error, Result};

use super::modules::Module;
use super::values::{matrix_values, vector_values};
use crate::families::names;

/// Refuses an adapter without the tensors of a module that its configuration names.
///
/// # Errors
/// `ConfigInvalid` with the modules.
pub fn refuse_missing<B: Backend>(files: &AdapterFiles, modules: &[Module<'_, B>]) -> Result<()> {
    let matcher = Matcher::new(&files.config)?;
    let mut missing = Vec::new();
    for module in modules.iter().filter(|module| !files.modules.contains_key(module.name())) {
        let name = module.name();
        let linear = matches!(module, Module::Linear(_)) && name != names::HEAD;
        let adapted =
            !matches!(module, Module::Norm(_) | Module::Experts(_)) && matcher.choice(name, linear)? == Choice::Adapted;
        if adapted || (!matches!(module, Module::Experts(_)) && matcher.is_saved(name)) {
            missing.push(name.to_owned());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "expected the tensors of every module that adapter_config.json names, got none of {}; save the adapter again, or \
         correct the configuration where it names more than was trained",
        some_of(&missing)
    );
    Err(Error::new(Code::ConfigInvalid, "adapter", message))
}

/// Refuses an adapter that carries other tensors of the base model than this one has. `base` gives the values of a tensor; None
/// where they are not at hand.
///
/// # Errors
/// `ConfigInvalid` with the tensor; those of `base`.
pub fn refuse_other_base(
    copies: &BTreeMap<String, AdapterTensor>,
    mut base: impl FnMut(&str, &AdapterTensor) -> Result<Option<Vec<f32>>>,
) -> Result<()> {
    for (name, copy) in copies {
        if base(name, copy)?.is_some_and(|values| !same(&copy.data, &values)) {
            let message = "expected the values that the model has, got others; the adapter was trained on another model, or \
                           with an embedding that was resized or trained: merge it with the model that it was trained on";
            return Err(Error::new(Code::ConfigInvalid, name, message));
        }
    }
    Ok(())
}

/// The values of a tensor of a decoder's modules, which a backend may hold rounded to bfloat16.
///
/// # Errors
/// `ConfigInvalid` where there is none of that name.
pub fn tensor_of<B: Backend>(backend: &B, modules: &[Module<'_, B>], name: &str) -> Result<Option<Vec<f32>>> {
    let (module, part) = name.rsplit_once('.').unwrap_or((name, ""));
    let found = modules.iter().find(|known| known.name() == module);
    match (found, part) {
        (Some(_), "weight" | "bias") if !backend.keeps_values() => Ok(None),
        (Some(Module::Linear(linear)), "weight") => {
            matrix_values(backend, &linear.weight, linear.n, linear.k).map(Some)
        }
        (Some(Module::Embedding(embedding)), "weight") => {
            matrix_values(backend, &embedding.table, embedding.v, embedding.d).map(Some)
        }
        (Some(Module::Norm(norm)), "weight") => vector_values(backend, &norm.scale).map(Some),
        (Some(Module::Linear(linear)), "bias") if linear.bias.is_some() => {
            linear.bias.as_ref().map(|bias| vector_values(backend, bias)).transpose()
        }
        _ => {
            let message = "expected tensors that this model has, got another; the adapter belongs to another model";
            Err(Error::new(Code::ConfigInvalid, name, message))
        }
    }
}

/// Equal but for the rounding to another type of the field's: at most 2⁻⁸ of the value, as in bfloat16.
fn same(given: &[f32], held: &[f32]) -> bool {
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= a.abs().max(b.abs()) / 256.0;
    given.len() == held.len() && given.iter().zip(held).all(close)
}
