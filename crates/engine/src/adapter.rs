//! A LoRA adapter on a loaded decoder: attached new or from a PEFT folder, and written back.

use std::path::Path;

use tunesmith_formats::{AdapterConfig, F32Tensor, LoraPair, read_adapter, write_adapter};
use tunesmith_ops::{Backend, Code, Error, Result};

use crate::adapted::LoraSlot;
use crate::decoder::Decoder;
use crate::families::names;
use crate::layer::Layer;
use crate::linear::Linear;
use crate::lora::{LoraOptions, initial_a};
use crate::parameters::{Group, ParameterSpec, Parameters};

/// The adapter of a session.
pub struct Adapter {
    /// As adapter_config.json holds it.
    pub config: AdapterConfig,
    /// Adapted modules, in the model's order.
    pub modules: Vec<String>,
}

/// Every linear module of a decoder with its name, in order; the head comes last.
pub fn modules<B: Backend>(decoder: &mut Decoder<B>) -> Vec<(String, &mut Linear<B>)> {
    let linears = decoder.layers.iter_mut().flat_map(Layer::linears_mut).chain([&mut decoder.head.linear]);
    linears.map(|linear| (linear.module.clone(), linear)).collect()
}

/// Attaches a new adapter: A by PEFT's initial values, B zero.
///
/// # Errors
/// `ArgumentInvalid` on options out of range or a target that matches nothing; `OutOfMemory`.
pub fn attach_new<B: Backend>(
    backend: &B,
    decoder: &mut Decoder<B>,
    parameters: &mut Parameters<B>,
    options: &LoraOptions,
    base_model: &str,
    seed: u64,
) -> Result<Adapter> {
    let mut linears = modules(decoder);
    let all: Vec<String> = linears.iter().map(|(name, _)| name.clone()).collect();
    let chosen = options.resolve(&all, names::HEAD)?;
    let chosen: Vec<String> = chosen.into_iter().map(str::to_owned).collect();
    for (place, (name, linear)) in linears.iter_mut().enumerate() {
        let Some(number) = chosen.iter().position(|module| module == name) else {
            continue;
        };
        let a = initial_a(seed, number as u32, options.r, linear.k);
        let b = vec![0.0; linear.n * options.r];
        attach(backend, parameters, name, linear, (options.r, options.scale(), 0.0, place as u32), &a, &b)?;
    }
    let endings = chosen.iter().filter_map(|module| module.rsplit('.').next().map(str::to_owned)).collect();
    Ok(Adapter {
        config: AdapterConfig::lora(base_model, options.r, options.lora_alpha, options.use_rslora, endings),
        modules: chosen,
    })
}

/// Attaches the adapter of a PEFT folder, to be trained on or only used.
///
/// # Errors
/// `FileMissing`, `FileInvalid`, `ModelUnsupported` as the folder gives; `ConfigInvalid` when it does not fit the model.
pub fn attach_saved<B: Backend>(
    backend: &B,
    decoder: &mut Decoder<B>,
    parameters: &mut Parameters<B>,
    dir: &Path,
) -> Result<Adapter> {
    let (config, mut pairs) = read_adapter(dir)?;
    let (r, scale) = (config.r, config.scale());
    let mut attached = Vec::new();
    for (stream, (name, linear)) in modules(decoder).into_iter().enumerate() {
        let Some(place) = pairs.iter().position(|pair| pair.module == name) else {
            continue;
        };
        let LoraPair { a, b, .. } = pairs.swap_remove(place);
        if (b.len(), a.len()) != (linear.n * r, linear.k * r) {
            return Err(Error::new(
                Code::ConfigInvalid,
                name,
                format!(
                    "expected an adapter on a [{}, {}] matrix, got one on [{}, {}]; it belongs to another model",
                    linear.n,
                    linear.k,
                    b.len() / r,
                    a.len() / r
                ),
            ));
        }
        attach(backend, parameters, &name, linear, (r, scale, config.lora_dropout, stream as u32), &a, &b)?;
        attached.push(name);
    }
    if let Some(pair) = pairs.first() {
        return Err(Error::new(
            Code::ConfigInvalid,
            dir.display().to_string(),
            format!(
                "expected adapters on modules of this model, got one on {}; it belongs to another model",
                pair.module
            ),
        ));
    }
    Ok(Adapter { config, modules: attached })
}

fn attach<B: Backend>(
    backend: &B,
    parameters: &mut Parameters<B>,
    module: &str,
    linear: &mut Linear<B>,
    (r, scale, dropout, stream): (usize, f32, f64, u32),
    a: &[f32],
    b: &[f32],
) -> Result<()> {
    let spec = |name: String, shape: [usize; 2]| ParameterSpec { name, shape: shape.to_vec(), group: Group::Decay };
    linear.lora = Some(LoraSlot {
        a: parameters.add(backend, spec(LoraPair::a_name(module), [r, linear.k]), a)?,
        b: parameters.add(backend, spec(LoraPair::b_name(module), [linear.n, r]), b)?,
        magnitude: None,
        r,
        scale,
        dropout,
        stream,
    });
    Ok(())
}

/// Writes a PEFT adapter folder.
///
/// # Errors
/// `NonFinite` when a value is not finite, `Io`.
pub fn save<B: Backend>(backend: &B, parameters: &Parameters<B>, adapter: &Adapter, dir: &Path) -> Result<()> {
    let host = crate::checkpoint::read_parameters(backend, parameters)?;
    let tensors: Vec<F32Tensor<'_>> = parameters
        .specs()
        .iter()
        .zip(&host)
        .map(|(spec, data)| F32Tensor { name: spec.name.clone(), shape: spec.shape.clone(), data })
        .collect();
    write_adapter(dir, &adapter.config, &tensors)
}
