//! An adapter of a loaded decoder: made new or read from a PEFT folder, switched on and off, and written back.
//!
//! What an adapter brings changes places with what the decoder has: switching twice leaves every bit as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tunesmith_formats::{
    AdapterConfig, AdapterFiles, AdapterTensor, CONVERTED_FOLDER, F32Tensor, FactorKind, LoraTensors, Matcher,
    ModuleNames, ModuleTensors, TrainedBias, token_rows_name, token_table_name, write_adapter,
};
use tunesmith_ops::{Backend, Code, Error, Result};

use super::candidate::Candidate;
use super::convert::FirstValues;
use super::initial::Draws;
use super::modules::{Module, modules};
use super::taken::take;
use super::targets::targets;
use super::tying::{Shared, take_tied, tie};
use super::values::matrix_values;
use super::whole::{refuse_missing, refuse_other_base, tensor_of};
use crate::decoder::Decoder;
use crate::families::names;
use crate::layer::{EmbeddingLora, ExpertLora, FrozenWeights, Linear, LoraSlot, TokenRows, Vector, Weight};
use crate::optimizer::Parameters;

/// What changes places with a module's own tensors.
pub(super) enum Patch<B: Backend> {
    Lora(Option<LoraSlot>),
    EmbeddingLora(Option<EmbeddingLora>),
    /// The weight that is left under factors that were taken out of it.
    Rest(Weight<B>),
    Linear(Weight<B>, Option<Vector<B>>),
    /// The bias of a layer alone.
    Bias(Vector<B>),
    Norm(Vector<B>),
    Embedding(Weight<B>),
    /// Trained rows of the embedding or the head.
    Tokens(Option<TokenRows<B>>),
    /// Factors on a matrix of experts.
    Experts(ExpertMatrix, Option<ExpertLora>),
}

/// A matrix of every expert of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) enum ExpertMatrix {
    GateUp,
    Down,
}

/// Where the first values of an adapter on experts come from.
pub(super) enum ExpertValues<'a> {
    /// Random numbers: a seed, and the adapters before these.
    Drawn(u64, usize),
    /// The tensors of a file, of which those that are used are taken out.
    Read(&'a mut BTreeMap<String, ModuleTensors>),
}

/// A tensor that is saved and not trained.
pub struct Table {
    pub(super) name: String,
    pub(super) shape: [usize; 2],
    pub(super) values: Vec<f32>,
}

/// An adapter, active or not.
pub struct Adapter<B: Backend> {
    /// As adapter_config.json holds it.
    pub config: AdapterConfig,
    /// Modules with low-rank factors, in the model's order.
    pub modules: Vec<String>,
    /// By the index of the module.
    pub(super) patches: Vec<(usize, Patch<B>)>,
    /// What the user should know of it.
    pub warnings: Vec<String>,
    /// What it has taken out of the base.
    first: FirstValues,
    /// What a tied head shares with the embedding.
    pub(super) tied_head: Option<Shared>,
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
        let frozen = decoder.frozen;
        let all = modules(decoder);
        let candidates: Vec<Candidate> = all.iter().map(Candidate::of).collect();
        let mut targets = targets(options, &candidates)?;
        let ties = options.ensure_weight_tying && frozen.tied;
        if ties {
            tie(&mut config, &candidates, &mut targets)?;
        }
        let matcher = Matcher::new(options)?;
        let mut this = Self::empty(config);
        for (number, index) in targets.adapted.iter().enumerate() {
            let module = &all[*index];
            let (r, scale) = matcher.rank_and_scale(module.name())?;
            let (init, draws) = (options.init_lora_weights, Draws::new(seed, number as u32));
            let taken = this.add_rest(backend, (*index, module), (r, scale), frozen)?;
            let [a, b] = match module {
                Module::Linear(linear) => taken.unwrap_or_else(|| draws.linear(init, (r, linear.n, linear.k))),
                Module::Embedding(embedding) => draws.embedding(init, (r, embedding.v, embedding.d)),
                Module::Norm(_) | Module::Experts(_) => continue,
            };
            this.add_factors(backend, *index, module, (r, scale), [&a, &b])?;
            let Module::Linear(linear) = module else { continue };
            if this.config.use_dora {
                this.measure_magnitude(backend, linear)?;
            }
            if this.config.lora_bias {
                this.add_b_bias(backend, module.name(), &draws.b_bias(init, (r, linear.n, linear.k)))?;
            }
        }
        for index in &targets.saved {
            this.add_copy(backend, *index, &all[*index])?;
        }
        if ties {
            this.tie_head(head_of(&all));
        }
        this.add_tokens(backend, &all, frozen.tied, None)?;
        for (index, module) in all.iter().enumerate().filter(|(index, _)| !targets.saved.contains(index)) {
            if let Module::Linear(linear) = module
                && options.bias.includes(targets.adapted.contains(&index))
            {
                this.add_bias(backend, (index, linear), None)?;
            }
        }
        this.tell_idle(frozen.tied);
        this.name_targets();
        this.add_experts(backend, &all, ExpertValues::Drawn(seed, targets.adapted.len()))?;
        Ok(this)
    }

    /// The adapter of a PEFT folder, not yet active.
    ///
    /// # Errors
    /// `FileMissing`, `FileInvalid`, `ModelUnsupported` as the folder gives; `ConfigInvalid` when it does not fit the model.
    pub fn read(backend: &B, decoder: &mut Decoder<B>, dir: &Path) -> Result<Self> {
        let mut found = AdapterFiles::read(dir)?;
        let ties = decoder.config.tied && found.config.ensure_weight_tying;
        if ties {
            take_tied(&mut found.modules, &mut found.copies)?;
        }
        let frozen = decoder.frozen;
        let all = modules(decoder);
        refuse_missing(&found, &all)?;
        refuse_other_base(&found.copies, |name, _| tensor_of(backend, &all, name))?;
        let AdapterFiles { config, modules: mut files, mut biases, tokens, .. } = found;
        let mut this = Self::empty(config.clone());
        let matcher = Matcher::new(&config)?;
        for (index, module) in all.iter().enumerate() {
            let name = module.name();
            let bias = biases.remove(name);
            let saved = files.get(name).is_some_and(|tensors| matches!(tensors, ModuleTensors::Saved(_)));
            match (files.remove(name), module) {
                (None, _) => {}
                (Some(ModuleTensors::Lora(factors)), module) => {
                    fits(module, &factors)?;
                    let LoraTensors { a, b, magnitude, bias, .. } = factors;
                    let rank_and_scale = matcher.rank_and_scale(name)?;
                    this.add_rest(backend, (index, module), rank_and_scale, frozen)?;
                    this.add_factors(backend, index, module, rank_and_scale, [&a.data, &b.data])?;
                    if let Some(magnitude) = magnitude {
                        this.add_magnitude(backend, name, &magnitude.data)?;
                    }
                    if let Some(bias) = bias {
                        this.add_b_bias(backend, name, &bias.data)?;
                    }
                }
                (Some(ModuleTensors::Saved(tensors)), module) => {
                    this.add_copy(backend, index, module)?;
                    this.overwrite(backend, name, tensors)?;
                }
            }
            if let Module::Linear(linear) = module {
                let due =
                    linear.bias.is_some() && !saved && config.bias.includes(this.modules.contains(&linear.module));
                bias_fits(linear, due, bias.as_ref())?;
                if due {
                    this.add_bias(backend, (index, linear), bias.as_ref())?;
                }
            }
        }
        if ties {
            this.tie_head(head_of(&all));
        }
        this.add_tokens(backend, &all, frozen.tied, Some(tokens))?;
        this.add_experts(backend, &all, ExpertValues::Read(&mut files))?;
        match files.into_keys().chain(biases.into_keys()).next() {
            None => Ok(this),
            Some(module) => Err(Error::new(
                Code::ConfigInvalid,
                dir.display().to_string(),
                format!("expected adapters on modules of this model, got one on {module}; it belongs to another model"),
            )),
        }
    }

    /// Tells of options that have no effect on this model.
    fn tell_idle(&mut self, tied: bool) {
        if self.config.bias != TrainedBias::None
            && !self.patches.iter().any(|(_, patch)| matches!(patch, Patch::Bias(_)))
        {
            let why = "lora.bias: no layer that it means has a bias in this model, so none is trained";
            self.warnings.push(why.to_owned());
        }
        if self.config.ensure_weight_tying && self.tied_head.is_none() && self.config.trainable_token_indices.is_none()
        {
            let untrained = "neither the embedding nor the head is trained";
            let why = if tied { untrained } else { "head and embedding of this model are two matrices" };
            self.warnings.push(format!("lora.ensureWeightTying: {why}, so nothing is tied"));
        }
    }

    /// Names the adapted modules by their endings, which say the same in any program, whatever it counts as linear.
    fn name_targets(&mut self) {
        if self.config.target_modules == ModuleNames::AllLinear {
            let endings = self.modules.iter().filter_map(|module| module.rsplit('.').next().map(str::to_owned));
            self.config.target_modules = ModuleNames::Endings(endings.collect());
        }
    }

    fn empty(config: AdapterConfig) -> Self {
        let (modules, patches, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            config,
            modules,
            patches,
            warnings,
            first: FirstValues::default(),
            tied_head: None,
            parameters: Parameters::default(),
        }
    }

    /// Takes the first factors of a module out of the base where the options say so, and gives them: of a saved adapter they are the
    /// same again, whatever it has become since (PEFT).
    fn add_rest(
        &mut self,
        backend: &B,
        (index, module): (usize, &Module<'_, B>),
        (r, scale): (usize, f32),
        frozen: FrozenWeights,
    ) -> Result<Option<[Vec<f32>; 2]>> {
        let init = self.config.first_values();
        match module {
            Module::Linear(linear) => {
                let Some(taken) = take(backend, linear, init, (r, scale), frozen)? else { return Ok(None) };
                self.patches.push((index, Patch::Rest(taken.rest)));
                if init.is_exact() {
                    self.first.keep(FactorKind::Linear, &linear.module, taken.factors.clone());
                }
                Ok(Some(taken.factors))
            }
            Module::Embedding(embedding) if init.is_exact() => {
                let nothing = [vec![0.0; r * embedding.v], vec![0.0; embedding.d * r]];
                self.first.keep(FactorKind::Embedding, &embedding.module, nothing);
                Ok(None)
            }
            _ => Ok(None),
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
                (Patch::Tokens(rows), Some(Module::Embedding(own))) => std::mem::swap(rows, &mut own.tokens),
                (Patch::Experts(matrix, slot), Some(Module::Experts(mixture))) => {
                    std::mem::swap(slot, matrix.slot(mixture));
                }
                (Patch::Tokens(rows), Some(Module::Linear(head))) => std::mem::swap(rows, &mut head.tokens),
                (Patch::Rest(weight), Some(Module::Linear(linear))) => std::mem::swap(weight, &mut linear.weight),
                (Patch::Linear(weight, bias), Some(Module::Linear(linear))) => {
                    std::mem::swap(weight, &mut linear.weight);
                    std::mem::swap(bias, &mut linear.bias);
                }
                (Patch::Bias(bias), Some(Module::Linear(Linear { bias: Some(own), .. }))) => std::mem::swap(bias, own),
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
    pub fn save(&self, backend: &B, parameters: &Parameters<B>, tables: &[Table], dir: &Path) -> Result<()> {
        let host = parameters.read_all(backend)?;
        let own = parameters.specs().iter().zip(&host);
        let own = own.map(|(spec, data)| F32Tensor { name: spec.name.clone(), shape: spec.shape.clone(), data });
        let more = tables.iter().map(|table| F32Tensor {
            name: table.name.clone(),
            shape: table.shape.to_vec(),
            data: &table.values,
        });
        write_adapter(dir, &self.config, &own.chain(more).collect::<Vec<_>>())
    }

    /// What PEFT saves with trained rows of a vocabulary that was resized: the tables under them, and the rows of a tied head, which
    /// are those of the embedding, once more.
    ///
    /// # Errors
    /// Whatever the backend's copies fail with.
    pub fn tables(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        (decoder, grown): (&Decoder<B>, bool),
    ) -> Result<Vec<Table>> {
        let (embedding, head) = (&decoder.embedding, &decoder.head.linear);
        let mut tables = self.tied_tables(backend, parameters)?;
        let mut saved = BTreeSet::new();
        if !grown {
            return Ok(tables);
        }
        for (module, weight, rows) in
            [(&embedding.module, &embedding.table, &embedding.tokens), (&head.module, &head.weight, &head.tokens)]
        {
            let Some(rows) = rows else { continue };
            let values = matrix_values(backend, weight, embedding.v, embedding.d)?;
            tables.push(Table { name: token_table_name(module), shape: [embedding.v, embedding.d], values });
            if !saved.insert(rows.id) {
                let values = parameters.read(backend, rows.id)?;
                let shape = [values.len() / embedding.d, embedding.d];
                tables.push(Table { name: token_rows_name(module), shape, values });
            }
        }
        Ok(tables)
    }

    /// Writes the adapter for the whole base into a folder of its own inside `dir`, where it has taken its first values out of that:
    /// what any program reads without repeating a decomposition. Nothing to do for other adapters.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn save_converted(&self, backend: &B, parameters: &Parameters<B>, dir: &Path) -> Result<()> {
        if self.first.is_empty() {
            return Ok(());
        }
        let host = parameters.read_all(backend)?;
        let converted: Vec<(Vec<usize>, Vec<f32>)> =
            parameters.specs().iter().zip(&host).map(|(spec, now)| self.first.converted(spec, now)).collect();
        let tensors: Vec<F32Tensor<'_>> = parameters
            .specs()
            .iter()
            .zip(&converted)
            .map(|(spec, (shape, data))| F32Tensor { name: spec.name.clone(), shape: shape.clone(), data })
            .collect();
        write_adapter(&dir.join(CONVERTED_FOLDER), &self.config.converted(), &tensors)
    }
}

/// The index of the head.
fn head_of<B: Backend>(all: &[Module<'_, B>]) -> usize {
    all.iter().position(|module| module.name() == names::HEAD).unwrap_or(all.len())
}

fn fits<B: Backend>(module: &Module<'_, B>, factors: &LoraTensors) -> Result<()> {
    let (kind, [n, k]) = match module {
        Module::Linear(linear) => (FactorKind::Linear, [linear.n, linear.k]),
        Module::Embedding(embedding) => (FactorKind::Embedding, [embedding.v, embedding.d]),
        Module::Norm(norm) => return Err(misfit(&norm.module, "no factors on a norm", "some")),
        Module::Experts(mixture) => return Err(misfit(&mixture.module, "factors on its parameters", "on itself")),
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

/// Whether a file has the bias of a layer exactly where it is trained, and of the layer's length.
fn bias_fits<B: Backend>(linear: &Linear<B>, due: bool, bias: Option<&AdapterTensor>) -> Result<()> {
    let shown = |shape: Option<&[usize]>| shape.map_or("none".to_owned(), |shape| format!("a bias {shape:?}"));
    let (due, got) = (due.then_some(linear.n), bias.map(|bias| bias.shape.as_slice()));
    if due.as_ref().map(std::slice::from_ref) == got {
        return Ok(());
    }
    Err(misfit(&linear.module, &shown(due.as_ref().map(std::slice::from_ref)), &shown(got)))
}

fn misfit(module: &str, expected: &str, got: &str) -> Error {
    let message = format!("expected {expected}, got {got}; it belongs to another model");
    Error::new(Code::ConfigInvalid, module, message)
}
