//! An adapter of a loaded decoder: made new or read from a PEFT folder, switched on and off, and written back.
//!
//! What an adapter brings changes places with what the decoder has: switching twice leaves every bit as it was.

use std::path::Path;

use tunesmith_formats::{
    AdapterConfig, AdapterFiles, F32Tensor, FactorKind, LoraTensors, Matcher, ModuleNames, ModuleTensors, write_adapter,
};
use tunesmith_ops::{Backend, Code, Error, Result};

use super::candidate::Candidate;
use super::initial::Draws;
use super::modules::{Module, modules};
use super::targets::targets;
use super::whole::{refuse_missing, refuse_other_base, tensor_of};
use crate::decoder::Decoder;
use crate::layer::{EmbeddingLora, LoraSlot, Vector, Weight};
use crate::optimizer::Parameters;

/// What changes places with a module's own tensors.
pub(super) enum Patch<B: Backend> {
    Lora(Option<LoraSlot>),
    EmbeddingLora(Option<EmbeddingLora>),
    Linear(Weight<B>, Option<Vector<B>>),
    Norm(Vector<B>),
    Embedding(Weight<B>),
}

/// An adapter, active or not.
pub struct Adapter<B: Backend> {
    /// As adapter_config.json holds it.
    pub config: AdapterConfig,
    /// Modules with low-rank factors, in the model's order.
    pub modules: Vec<String>,
    /// By the index of the module.
    pub(super) patches: Vec<(usize, Patch<B>)>,
    /// Its tensors while it is not active; the session's own while it is.
    pub(crate) parameters: Parameters<B>,
}

impl<B: Backend> Adapter<B> {
    /// A new adapter by PEFT's initial values, not yet active.
    ///
    /// # Errors
    /// `ArgumentInvalid`, `ConfigInvalid` and `ModelUnsupported` on options that do not fit the model; `OutOfMemory`.
    pub fn new(
        backend: &B,
        decoder: &mut Decoder<B>,
        options: &AdapterConfig,
        base_model: &str,
        seed: u64,
    ) -> Result<Self> {
        let mut config = options.clone();
        config.base_model_name_or_path = Some(base_model.to_owned());
        let all = modules(decoder);
        let candidates: Vec<Candidate> = all.iter().map(Candidate::of).collect();
        let targets = targets(options, &candidates)?;
        let matcher = Matcher::new(options)?;
        let mut this = Self { config, modules: Vec::new(), patches: Vec::new(), parameters: Parameters::default() };
        for (number, index) in targets.adapted.iter().enumerate() {
            let module = &all[*index];
            let (r, scale) = matcher.rank_and_scale(module.name())?;
            let (init, draws) = (options.init_lora_weights, Draws::new(seed, number as u32));
            let [a, b] = match module {
                Module::Linear(linear) => draws.linear(init, (r, linear.n, linear.k)),
                Module::Embedding(embedding) => draws.embedding(init, (r, embedding.v, embedding.d)),
                Module::Norm(_) => continue,
            };
            this.add_factors(backend, *index, module, (r, scale), [&a, &b])?;
            if let (true, Module::Linear(linear)) = (this.config.use_dora, module) {
                this.measure_magnitude(backend, linear)?;
            }
        }
        for index in targets.saved {
            this.add_copy(backend, index, &all[index])?;
        }
        if this.config.target_modules == ModuleNames::AllLinear {
            // The endings say the same in any program, whatever it counts as linear.
            let endings = this.modules.iter().filter_map(|module| module.rsplit('.').next().map(str::to_owned));
            this.config.target_modules = ModuleNames::Endings(endings.collect());
        }
        Ok(this)
    }

    /// The adapter of a PEFT folder, not yet active.
    ///
    /// # Errors
    /// `FileMissing`, `FileInvalid`, `ModelUnsupported` as the folder gives; `ConfigInvalid` when it does not fit the model.
    pub fn read(backend: &B, decoder: &mut Decoder<B>, dir: &Path) -> Result<Self> {
        let found = AdapterFiles::read(dir)?;
        if decoder.config.tied {
            found.check_tied()?;
        }
        let all = modules(decoder);
        refuse_missing(&found, &all)?;
        refuse_other_base(&found.copies, |name, _| tensor_of(backend, &all, name))?;
        let AdapterFiles { config, modules: mut files, .. } = found;
        let mut this = Self {
            config: config.clone(),
            modules: Vec::new(),
            patches: Vec::new(),
            parameters: Parameters::default(),
        };
        let matcher = Matcher::new(&config)?;
        for (index, module) in all.iter().enumerate() {
            let name = module.name();
            match (files.remove(name), module) {
                (None, _) => {}
                (Some(ModuleTensors::Lora(factors)), module) => {
                    fits(module, &factors)?;
                    let LoraTensors { a, b, magnitude, .. } = factors;
                    this.add_factors(backend, index, module, matcher.rank_and_scale(name)?, [&a.data, &b.data])?;
                    if let Some(magnitude) = magnitude {
                        this.add_magnitude(backend, name, &magnitude.data)?;
                    }
                }
                (Some(ModuleTensors::Saved(tensors)), module) => {
                    this.add_copy(backend, index, module)?;
                    this.overwrite(backend, name, tensors)?;
                }
            }
        }
        match files.into_keys().next() {
            None => Ok(this),
            Some(module) => Err(Error::new(
                Code::ConfigInvalid,
                dir.display().to_string(),
                format!("expected adapters on modules of this model, got one on {module}; it belongs to another model"),
            )),
        }
    }

    /// Puts the adapter into the decoder, or takes it out again. `parameters` are those that the decoder's tensors are in.
    ///
    /// # Errors
    /// `Internal` for a decoder other than its own.
    pub fn toggle(&mut self, decoder: &mut Decoder<B>, parameters: &mut Parameters<B>) -> Result<()> {
        let mut all = modules(decoder);
        for (index, patch) in &mut self.patches {
            match (patch, all.get_mut(*index)) {
                (Patch::Lora(slot), Some(Module::Linear(linear))) => std::mem::swap(slot, &mut linear.lora),
                (Patch::EmbeddingLora(slot), Some(Module::Embedding(own))) => std::mem::swap(slot, &mut own.lora),
                (Patch::Linear(weight, bias), Some(Module::Linear(linear))) => {
                    std::mem::swap(weight, &mut linear.weight);
                    std::mem::swap(bias, &mut linear.bias);
                }
                (Patch::Norm(scale), Some(Module::Norm(norm))) => std::mem::swap(scale, &mut norm.scale),
                (Patch::Embedding(table), Some(Module::Embedding(own))) => std::mem::swap(table, &mut own.table),
                _ => return Err(crate::internal::internal("adapter", "the modules that the adapter was made for")),
            }
        }
        std::mem::swap(&mut self.parameters, parameters);
        Ok(())
    }

    /// Writes a PEFT adapter folder. `parameters` are the adapter's.
    ///
    /// # Errors
    /// `NonFinite` when a value is not finite, `Io`.
    pub fn save(&self, backend: &B, parameters: &Parameters<B>, dir: &Path) -> Result<()> {
        let host = parameters.read_all(backend)?;
        let tensors: Vec<F32Tensor<'_>> = parameters
            .specs()
            .iter()
            .zip(&host)
            .map(|(spec, data)| F32Tensor { name: spec.name.clone(), shape: spec.shape.clone(), data })
            .collect();
        write_adapter(dir, &self.config, &tensors)
    }
}

fn fits<B: Backend>(module: &Module<'_, B>, factors: &LoraTensors) -> Result<()> {
    let (kind, [n, k]) = match module {
        Module::Linear(linear) => (FactorKind::Linear, [linear.n, linear.k]),
        Module::Embedding(embedding) => (FactorKind::Embedding, [embedding.v, embedding.d]),
        Module::Norm(norm) => return Err(misfit(&norm.module, "no factors on a norm", "some")),
    };
    let got = factors.weight_shape();
    if factors.kind != kind {
        return Err(misfit(module.name(), "the factors of such a module", "those of another"));
    }
    if got != [n, k] {
        return Err(misfit(module.name(), &format!("an adapter on a [{n}, {k}] matrix"), &format!("one on {got:?}")));
    }
    Ok(())
}

fn misfit(module: &str, expected: &str, got: &str) -> Error {
    let message = format!("expected {expected}, got {got}; it belongs to another model");
    Error::new(Code::ConfigInvalid, module, message)
}
