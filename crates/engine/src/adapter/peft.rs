//! An adapter of a loaded decoder: made new or read from a PEFT folder, switched on and off, and written back.
//!
//! What an adapter brings changes places with what the decoder has: switching twice leaves every bit as it was.

use std::collections::BTreeMap;
use std::path::Path;

use tunesmith_formats::{
    AdapterConfig, AdapterFiles, AdapterTensor, F32Tensor, LoraPair, Matcher, ModuleNames, ModuleTensors, write_adapter,
};
use tunesmith_ops::{Backend, Code, DType, Error, Lora, Matrix, Result, View, ViewMut};

use super::candidate::Candidate;
use super::modules::{Module, modules};
use super::targets::{initial, targets};
use super::values::{matrix_values, vector_values};
use super::whole::{refuse_missing, refuse_other_base, tensor_of};
use crate::decoder::Decoder;
use crate::families::names;
use crate::layer::{Linear, LoraSlot, Vector, Weight};
use crate::optimizer::{ParameterId, ParameterKind, ParameterSpec, Parameters};

/// What changes places with a module's own tensors.
enum Patch<B: Backend> {
    Lora(Option<LoraSlot>),
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
    patches: Vec<(usize, Patch<B>)>,
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
        let candidates: Vec<Candidate> = all
            .iter()
            .map(|module| Candidate {
                name: module.name().to_owned(),
                linear: matches!(module, Module::Linear(_)),
                head: module.name() == names::HEAD,
            })
            .collect();
        let targets = targets(options, &candidates)?;
        let matcher = Matcher::new(options)?;
        let mut this = Self { config, modules: Vec::new(), patches: Vec::new(), parameters: Parameters::default() };
        for (number, index) in targets.adapted.iter().enumerate() {
            let Module::Linear(linear) = &all[*index] else { continue };
            let (r, scale) = matcher.rank_and_scale(&linear.module)?;
            let (a, b) = initial(options.init_lora_weights, seed, number as u32, (r, linear.n, linear.k));
            this.add_factors(backend, *index, linear, (r, scale), &a, &b)?;
            if this.config.use_dora {
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
                (Some(ModuleTensors::Lora { a, b, magnitude }), Module::Linear(linear)) => {
                    fits(linear, &a, &b)?;
                    let rank_and_scale = matcher.rank_and_scale(name)?;
                    this.add_factors(backend, index, linear, rank_and_scale, &a.data, &b.data)?;
                    if let Some(magnitude) = magnitude {
                        this.add_magnitude(backend, name, &magnitude.data)?;
                    }
                }
                (Some(ModuleTensors::Saved(tensors)), module) => {
                    this.add_copy(backend, index, module)?;
                    this.overwrite(backend, name, tensors)?;
                }
                (Some(ModuleTensors::Lora { .. }), _) => {
                    let message =
                        "expected factors of linear layers, got those of another module; it is not implemented";
                    return Err(Error::new(Code::ModelUnsupported, name, message));
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

    fn add_factors(
        &mut self,
        backend: &B,
        index: usize,
        linear: &Linear<B>,
        (r, scale): (usize, f32),
        a: &[f32],
        b: &[f32],
    ) -> Result<()> {
        let name = &linear.module;
        let a_spec = spec(LoraPair::a_name(name), &[r, linear.k], ParameterKind::Decay);
        let b_spec = spec(LoraPair::b_name(name), &[linear.n, r], ParameterKind::LoraB);
        let slot = LoraSlot {
            a: self.parameters.add(backend, a_spec, a)?,
            b: self.parameters.add(backend, b_spec, b)?,
            magnitude: None,
            r,
            scale,
            dropout: self.config.lora_dropout,
            // The module's place among all, so that what else is adapted does not change its masks.
            stream: index as u32,
        };
        self.patches.push((index, Patch::Lora(Some(slot))));
        self.modules.push(name.clone());
        Ok(())
    }

    /// Gives the last factors the magnitudes of a DoRA.
    fn add_magnitude(&mut self, backend: &B, name: &str, values: &[f32]) -> Result<()> {
        let magnitude = spec(LoraPair::magnitude_name(name), &[values.len()], ParameterKind::LoraB);
        let id = self.parameters.add(backend, magnitude, values)?;
        match self.patches.last_mut() {
            Some((_, Patch::Lora(Some(slot)))) => slot.magnitude = Some(id),
            _ => return Err(crate::internal::internal("adapter", "factors before their magnitudes")),
        }
        Ok(())
    }

    /// The same, with the lengths that the rows have now.
    fn measure_magnitude(&mut self, backend: &B, linear: &Linear<B>) -> Result<()> {
        let (Some((_, Patch::Lora(Some(slot)))), Some(name)) = (self.patches.last(), self.modules.last().cloned())
        else {
            return Err(crate::internal::internal("adapter", "factors before their magnitudes"));
        };
        let Weight::Frozen(weight) = &linear.weight else {
            return Err(crate::internal::internal("adapter", "a frozen weight under an adapter"));
        };
        let (a, b) = (self.parameters.value(slot.a), self.parameters.value(slot.b));
        let lora = Lora { r: slot.r, a, b, scale: slot.scale };
        let mut norms = backend.zeros(DType::F32, linear.n)?;
        backend.dora_norms(linear.n, linear.k, Matrix::Frozen(weight), lora, ViewMut::new(&mut norms, 0, linear.n))?;
        let mut host = vec![0.0; linear.n];
        backend.read(View::new(&norms, 0, linear.n), &mut host)?;
        self.add_magnitude(backend, &name, &host)
    }

    /// A trained copy of a module's own tensors.
    fn add_copy(&mut self, backend: &B, index: usize, module: &Module<'_, B>) -> Result<()> {
        let name = module.name();
        let place = |part: &str| LoraPair::saved_name(&format!("{name}.{part}"));
        let parameters = &mut self.parameters;
        let patch = match module {
            Module::Linear(linear) => {
                let kind = if name == names::HEAD { ParameterKind::Embedding } else { ParameterKind::Decay };
                let values = matrix_values(backend, &linear.weight, linear.n, linear.k)?;
                let id = parameters.add(backend, spec(place("weight"), &[linear.n, linear.k], kind), &values)?;
                let bias = linear.bias.as_ref().map(|bias| copy_vector(backend, parameters, bias, place("bias")));
                Patch::Linear(Weight::Trained(id), bias.transpose()?.map(Vector::Trained))
            }
            Module::Norm(norm) => {
                Patch::Norm(Vector::Trained(copy_vector(backend, parameters, &norm.scale, place("weight"))?))
            }
            Module::Embedding(table, rows, columns) => {
                let values = matrix_values(backend, table, *rows, *columns)?;
                let table = spec(place("weight"), &[*rows, *columns], ParameterKind::Embedding);
                Patch::Embedding(Weight::Trained(parameters.add(backend, table, &values)?))
            }
        };
        self.patches.push((index, patch));
        Ok(())
    }

    /// Puts the values of a file into the copy of a module.
    fn overwrite(&mut self, backend: &B, name: &str, mut tensors: BTreeMap<String, AdapterTensor>) -> Result<()> {
        let prefix = LoraPair::saved_name(&format!("{name}."));
        let specs: Vec<(ParameterId, ParameterSpec)> =
            self.parameters.ids().zip(self.parameters.specs().iter().cloned()).collect();
        for (id, spec) in specs {
            let Some(part) = spec.name.strip_prefix(&prefix) else { continue };
            match tensors.remove(part) {
                Some(tensor) if tensor.shape == spec.shape => self.parameters.write(backend, id, &tensor.data)?,
                other => {
                    let got = other.map_or("none".to_owned(), |tensor| format!("{:?}", tensor.shape));
                    let message = format!("expected shape {:?}, got {got}; it belongs to another model", spec.shape);
                    return Err(Error::new(Code::ConfigInvalid, &spec.name, message));
                }
            }
        }
        match tensors.into_keys().next() {
            None => Ok(()),
            Some(part) => {
                let message = format!("expected tensors that {name} has, got {part:?}; it belongs to another model");
                Err(Error::new(Code::ConfigInvalid, name, message))
            }
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
                (Patch::Linear(weight, bias), Some(Module::Linear(linear))) => {
                    std::mem::swap(weight, &mut linear.weight);
                    std::mem::swap(bias, &mut linear.bias);
                }
                (Patch::Norm(scale), Some(Module::Norm(norm))) => std::mem::swap(scale, &mut norm.scale),
                (Patch::Embedding(table), Some(Module::Embedding(own, ..))) => std::mem::swap(table, *own),
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

fn spec(name: String, shape: &[usize], kind: ParameterKind) -> ParameterSpec {
    ParameterSpec { name, shape: shape.to_vec(), kind }
}

fn copy_vector<B: Backend>(
    backend: &B,
    parameters: &mut Parameters<B>,
    vector: &Vector<B>,
    name: String,
) -> Result<ParameterId> {
    let host = vector_values(backend, vector)?;
    parameters.add(backend, spec(name, &[host.len()], ParameterKind::NoDecay), &host)
}

fn fits<B: Backend>(linear: &Linear<B>, a: &AdapterTensor, b: &AdapterTensor) -> Result<()> {
    let (k, n) = (a.shape[1], b.shape[0]);
    if (n, k) == (linear.n, linear.k) {
        return Ok(());
    }
    let message = format!(
        "expected an adapter on a [{}, {}] matrix, got one on [{n}, {k}]; it belongs to another model",
        linear.n, linear.k
    );
    Err(Error::new(Code::ConfigInvalid, &linear.module, message))
}
