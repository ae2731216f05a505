//! A model in memory with everything that trains it: what the binding talks to.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tunesmith_formats::{ModelConfig as HfConfig, TensorSource, write_atomic};
use tunesmith_ops::{Backend, Code, Error, MemoryStats, Result};

use super::checkpoint;
use super::options::{AdapterSource, SessionOptions};
use crate::adapter::{Adapter, Adapters};
use crate::batch::{Batch, Layout, Pass, StepKey};
use crate::config::ModelConfig;
use crate::decode::{Request, TokenEvent, generate};
use crate::decoder::{Activations, Decoder};
use crate::layer::Backward;
use crate::load::{QuantizationInfo, load};
use crate::objective::{SequenceSums, Supervised};
use crate::optimizer::{Gradients, Group, Optimizer, ParameterSpec, Parameters, Update, Updated};
use crate::recompute::Keep;

struct Training<B: Backend> {
    gradients: Gradients<B>,
    optimizer: Optimizer<B>,
}

/// One model, its adapter, its training state.
pub struct Session<B: Backend> {
    backend: Arc<B>,
    decoder: Decoder<B>,
    parameters: Parameters<B>,
    training: Option<Training<B>>,
    adapters: Adapters<B>,
    activations: Activations<B>,
    keep: Keep,
    hf_config: HfConfig,
    total_parameters: usize,
    quantization: Option<QuantizationInfo>,
    warnings: Vec<String>,
}

/// One parameter group as shown to the user.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupInfo {
    /// Name.
    pub name: &'static str,
    /// Decoupled decay.
    pub weight_decay: f64,
    /// Trained numbers in it.
    pub parameters: usize,
}

impl<B: Backend> Session<B> {
    /// Loads the weights and prepares what the options ask for. `base_model` is the name written into an adapter.
    ///
    /// # Errors
    /// Those of reading the files, of the adapter's options, and `OutOfMemory`.
    pub fn new(
        backend: Arc<B>,
        hf_config: HfConfig,
        source: &dyn TensorSource,
        base_model: &str,
        options: &SessionOptions,
    ) -> Result<Self> {
        let config = ModelConfig::new(&hf_config)?;
        let train_all = options.optimizer.is_some() && matches!(options.adapter, AdapterSource::None);
        let loaded = load(&*backend, source, train_all, &options.base, config)?;
        let (mut decoder, mut parameters) = (loaded.decoder, loaded.parameters);
        let adapter = match &options.adapter {
            AdapterSource::None => None,
            AdapterSource::New(lora) => Some(Adapter::new(&*backend, &mut decoder, lora, base_model, options.seed)?),
            AdapterSource::Saved(dir) => Some(Adapter::read(&*backend, &mut decoder, dir)?),
        };
        let mut adapters = Adapters::default();
        if let Some(adapter) = adapter {
            adapters.begin(adapter, options.optimizer.is_some(), &mut decoder, &mut parameters)?;
        }
        let training = match options.optimizer {
            None => None,
            Some(constants) => Some(Training {
                gradients: Gradients::new(&*backend, &parameters)?,
                optimizer: Optimizer::new(&*backend, &parameters, constants)?,
            }),
        };
        let keep = match (&training, options.gradient_checkpointing) {
            (None, _) => Keep::Nothing,
            (Some(_), true) => Keep::Inputs,
            (Some(_), false) => Keep::All,
        };
        Ok(Self {
            activations: Activations::new(&*backend, decoder.config.layers, keep),
            backend,
            decoder,
            parameters,
            training,
            adapters,
            keep,
            hf_config,
            total_parameters: loaded.total_parameters,
            quantization: loaded.quantization,
            warnings: loaded.warnings,
        })
    }

    /// Sizes and switches of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.decoder.config
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Backend, decoder and parameters together, for looking at modules.
    pub fn parts(&mut self) -> (&B, &mut Decoder<B>, &Parameters<B>) {
        (&self.backend, &mut self.decoder, &self.parameters)
    }

    /// Values of the trained tensors; those of the active adapter when nothing is trained.
    pub fn parameters(&self) -> &Parameters<B> {
        self.adapters.trained_parameters(&self.parameters)
    }

    /// Whether the session was made with an optimizer.
    pub fn trains(&self) -> bool {
        self.training.is_some()
    }

    /// Numbers in the model, adapter not counted.
    pub fn total_parameters(&self) -> usize {
        self.total_parameters
    }

    /// How the linear layers are quantised, or None where they are not.
    pub fn quantization(&self) -> Option<&QuantizationInfo> {
        self.quantization.as_ref()
    }

    /// What the user should know of loading the model.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Modules of the adapter that would be saved, or none.
    pub fn adapter_modules(&self) -> Option<&[String]> {
        self.adapters.to_save(&self.parameters).map(|(adapter, _)| adapter.modules.as_slice())
    }

    /// Loaded adapters, and which one is active.
    pub fn adapters(&self) -> &Adapters<B> {
        &self.adapters
    }

    /// Loads a PEFT folder under a name, without activating it.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name that is taken or a session that trains the model itself; those of reading the folder.
    pub fn load_adapter(&mut self, name: &str, dir: &Path) -> Result<()> {
        if self.training.is_some() && self.adapters.trained().is_none() {
            let got = "full fine-tuning; load it into a session of its own";
            return Err(Error::argument("loadAdapter", "a session whose base model is frozen", got));
        }
        self.adapters.load(&self.backend, &mut self.decoder, name, dir)
    }

    /// Makes an adapter the active one.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name that is not loaded.
    pub fn set_adapter(&mut self, name: &str) -> Result<()> {
        self.adapters.set(name, &mut self.decoder, &mut self.parameters)
    }

    /// Leaves the base model alone, to the bit.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn disable_adapter(&mut self) -> Result<()> {
        self.adapters.disable(&mut self.decoder, &mut self.parameters)
    }

    /// Puts back the adapter that was disabled.
    ///
    /// # Errors
    /// `ArgumentInvalid` when none was ever set.
    pub fn enable_adapter(&mut self) -> Result<()> {
        self.adapters.enable(&mut self.decoder, &mut self.parameters)
    }

    /// Frees an adapter that is not trained.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name that is not loaded, or the trained adapter.
    pub fn delete_adapter(&mut self, name: &str) -> Result<()> {
        self.adapters.delete(name, &mut self.decoder, &mut self.parameters)
    }

    /// The groups in the order of an update's learning rates; all empty when nothing is trained.
    pub fn groups(&self) -> Vec<GroupInfo> {
        Group::ALL
            .iter()
            .map(|group| {
                let training = self.training.as_ref();
                let members = self.parameters().specs().iter().filter(|spec| spec.group == *group);
                GroupInfo {
                    name: group.name(),
                    weight_decay: training.map_or(0.0, |t| t.optimizer.weight_decay(*group)),
                    parameters: training.map_or(0, |_| members.map(ParameterSpec::len).sum()),
                }
            })
            .collect()
    }

    /// Chooses anew what forward keeps for backward, and gives back what it has kept so far. Nothing to do without training.
    pub fn set_gradient_checkpointing(&mut self, gradient_checkpointing: bool) {
        if self.training.is_some() {
            self.keep = if gradient_checkpointing { Keep::Inputs } else { Keep::All };
            self.activations = Activations::new(&*self.backend, self.decoder.config.layers, self.keep);
        }
    }

    /// Bytes in use and at peak.
    pub fn memory(&self) -> MemoryStats {
        self.backend.memory_stats()
    }

    /// Forward and backward of one packed batch; gradients are added as sums. `key` keys the dropout of an adapter.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a batch that breaks its contract or a session that does not train.
    pub fn accumulate(&mut self, batch: &Batch<'_>, key: StepKey) -> Result<Vec<SequenceSums>> {
        batch.check(self.decoder.config.vocab)?;
        let training = self.training.as_mut().ok_or_else(not_training)?;
        if !self.adapters.trains_the_active() {
            let active = self.adapters.active().map_or("none".to_owned(), |name| format!("{name:?}"));
            let got = format!("{active}; set it with setAdapter");
            return Err(Error::argument("accumulate", "the trained adapter to be the active one", got));
        }
        let drops = self.adapters.trained().is_some_and(|adapter| adapter.config.lora_dropout > 0.0);
        let token_rows = drops.then(|| batch.token_rows()).transpose()?;
        let (supervised, wanted) = Supervised::of(batch);
        if wanted.is_empty() {
            return Ok(supervised.no_sums());
        }
        let mut pass = packed_pass(&*self.backend, batch, wanted)?;
        if let Some(token_rows) = token_rows {
            pass.draw(&*self.backend, key, &token_rows, batch.positions)?;
        }
        let mut grads = Backward { parameters: &self.parameters, gradients: &mut training.gradients };
        self.decoder.accumulate(&*self.backend, &mut grads, &pass, &supervised, self.keep, &mut self.activations)
    }

    /// Loss sums of one packed batch, without a gradient.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a batch that breaks its contract.
    pub fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Vec<SequenceSums>> {
        batch.check(self.decoder.config.vocab)?;
        let (supervised, wanted) = Supervised::of(batch);
        if wanted.is_empty() {
            return Ok(supervised.no_sums());
        }
        let pass = packed_pass(&*self.backend, batch, wanted)?;
        self.decoder.evaluate(&*self.backend, &self.parameters, &pass, &supervised, &mut self.activations)
    }

    /// Logits `[T, vocabulary]` of a packed batch, on the host: for tests and inspection of small inputs.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a batch that breaks its contract.
    pub fn logits(&mut self, batch: &Batch<'_>) -> Result<Vec<f32>> {
        batch.check(self.decoder.config.vocab)?;
        let pass = packed_pass(&*self.backend, batch, (0..batch.input_ids.len() as i32).collect())?;
        self.decoder.logits(&*self.backend, &self.parameters, &pass, None, &mut self.activations)
    }

    /// Divides, clips, steps, clears.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a wrong request or a session that does not train.
    pub fn update(&mut self, update: &Update<'_>) -> Result<Updated> {
        let training = self.training.as_mut().ok_or_else(not_training)?;
        let (optimizer, gradients) = (&mut training.optimizer, &mut training.gradients);
        let parameters = self.adapters.trained_parameters_mut(&mut self.parameters);
        optimizer.update(&*self.backend, parameters, gradients, update)
    }

    /// Summed gradient of every trained tensor by name, on the host: for tests and inspection.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a session that does not train.
    pub fn gradients(&self) -> Result<Vec<(String, Vec<f32>)>> {
        let training = self.training.as_ref().ok_or_else(not_training)?;
        let views = training.gradients.views().into_iter();
        let named = self.parameters().specs().iter().zip(views);
        named
            .map(|(spec, view)| {
                let mut host = vec![0.0; view.len];
                self.backend.read(view, &mut host)?;
                Ok((spec.name.clone(), host))
            })
            .collect()
    }

    /// Sets the summed gradient to zero without a step.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a session that does not train.
    pub fn clear_gradients(&mut self) -> Result<()> {
        let training = self.training.as_mut().ok_or_else(not_training)?;
        training.gradients.clear(&*self.backend)
    }

    /// Continues prompts; see [`generate`].
    ///
    /// # Errors
    /// `ArgumentInvalid` for a wrong request, `NonFinite` for logits that are NaN.
    pub fn generate(&mut self, request: &Request, emit: &mut dyn FnMut(TokenEvent) -> ControlFlow<()>) -> Result<()> {
        let (backend, activations) = (&*self.backend, &mut self.activations);
        generate(backend, &self.decoder, &self.parameters, activations, request, emit)
    }

    /// Writes the adapter, or the whole model after full fine-tuning, and the optimizer's state into an existing folder.
    ///
    /// # Errors
    /// `NonFinite`, `Io`, `ArgumentInvalid` for a session that does not train.
    pub fn save_checkpoint(&self, dir: &Path) -> Result<()> {
        let training = self.training.as_ref().ok_or_else(not_training)?;
        self.save_adapter(dir)?;
        let path = dir.join(checkpoint::OPTIMIZER_FILE);
        checkpoint::save_optimizer(&*self.backend, self.parameters(), &training.optimizer, &path)
    }

    /// Reads what [`Self::save_checkpoint`] wrote; a mismatch leaves the session as it was.
    ///
    /// # Errors
    /// `CheckpointInvalid`, and those of reading files.
    pub fn load_checkpoint(&mut self, dir: &Path) -> Result<()> {
        let training = self.training.as_mut().ok_or_else(not_training)?;
        let weights = if self.adapters.trained().is_some() { checkpoint::ADAPTER_FILE } else { checkpoint::MODEL_FILE };
        checkpoint::load(
            &*self.backend,
            self.adapters.trained_parameters_mut(&mut self.parameters),
            &mut training.optimizer,
            &dir.join(weights),
            &dir.join(checkpoint::OPTIMIZER_FILE),
        )?;
        training.gradients.clear(&*self.backend)
    }

    /// Writes the trained adapter (or else the active one) as a PEFT folder, or model.safetensors with config.json after full fine-tuning.
    ///
    /// # Errors
    /// `NonFinite`, `Io`, `ArgumentInvalid` when there is neither an adapter nor a trained model.
    pub fn save_adapter(&self, dir: &Path) -> Result<()> {
        if let Some((adapter, parameters)) = self.adapters.to_save(&self.parameters) {
            return adapter.save(&*self.backend, parameters, dir);
        }
        if self.training.is_none() {
            return Err(not_training());
        }
        checkpoint::save_parameters(&*self.backend, &self.parameters, &dir.join(checkpoint::MODEL_FILE))?;
        let json = serde_json::to_vec_pretty(self.hf_config.as_map())
            .map_err(|error| Error::new(Code::Internal, "config.json", error.to_string()))?;
        write_atomic(&dir.join("config.json"), &json)
    }
}

fn packed_pass<B: Backend>(backend: &B, batch: &Batch<'_>, wanted: Vec<i32>) -> Result<Pass<B>> {
    Pass::new(backend, batch.input_ids, batch.positions, Layout::packed(batch.sequence_starts), wanted)
}

fn not_training() -> Error {
    Error::argument("session", "a session created with an optimizer", "one that only evaluates and generates")
}
