//! A model in memory with everything that trains it: what the binding talks to.

use std::sync::Arc;

use tunesmith_formats::{ModelConfig as HfConfig, TensorSource, TokenIndices};
use tunesmith_ops::{Backend, Error, Result};

use super::options::{AdapterOptions, SessionOptions};
use crate::adapter::{Adapter, Adapters};
use crate::batch::{Batch, Pass, SequenceLayout, StepKey};
use crate::config::ModelConfig;
use crate::decoder::{Activations, Decoder};
use crate::layer::Backward;
use crate::load::{Grown, QuantizationInfo, load};
use crate::noise::EmbeddingNoise;
use crate::objective::{Objective, SequenceSums, Supervised};
use crate::optimizer::{Gradients, Optimizer, Parameters};
use crate::recompute::SavePolicy;
use crate::rng::{Philox, Purpose};

pub(super) struct Training<B: Backend> {
    pub(super) gradients: Gradients<B>,
    pub(super) optimizer: Optimizer<B>,
    /// Set while a call adds to the gradient, and left so by one that failed: a part of a batch is in it.
    pub(super) broken: bool,
    /// Something has been added to the gradient since it was cleared.
    pub(super) holds_gradient: bool,
    /// The parameters are the mean of a schedule-free optimizer, its trained point in the gradient's buffers.
    pub(super) is_mean: bool,
}

impl<B: Backend> Training<B> {
    /// Adds to the gradient what `pass` adds to it, all or, after an error, something that no update may take.
    pub(super) fn add<T>(&mut self, pass: impl FnOnce(&mut Gradients<B>) -> Result<T>) -> Result<T> {
        let broken = std::mem::replace(&mut self.broken, true);
        self.holds_gradient = true;
        let added = pass(&mut self.gradients)?;
        self.broken = broken;
        Ok(added)
    }

    /// # Errors
    /// `ArgumentInvalid` after a call that failed in the middle of a batch.
    pub(super) fn check_whole(&self) -> Result<()> {
        if self.broken {
            let got =
                "one that a failed call has left in the middle of a batch; call discardGradient and accumulate again";
            return Err(Error::argument("update", "a whole gradient", got));
        }
        Ok(())
    }

    /// Sets the gradient to zero.
    pub(super) fn clear(&mut self, backend: &B) -> Result<()> {
        self.gradients.clear(backend)?;
        (self.broken, self.holds_gradient) = (false, false);
        Ok(())
    }
}

/// A forward whose backward is still to come.
pub(super) struct Pending<B: Backend> {
    /// None where no token carries a loss.
    pub(super) pass: Option<Pass<B>>,
    pub(super) supervised: Supervised,
}

/// One model, its adapter, its training state.
pub struct Session<B: Backend> {
    pub(super) backend: Arc<B>,
    pub(super) decoder: Decoder<B>,
    /// Embedding and head have more rows than the model's files.
    pub(super) grown: bool,
    pub(super) parameters: Parameters<B>,
    pub(super) training: Option<Training<B>>,
    pub(super) adapters: Adapters<B>,
    pub(super) activations: Activations<B>,
    pub(super) keep: SavePolicy,
    /// Above 0: noise on the embeddings of training passes.
    neftune_noise_alpha: Option<f64>,
    /// Whether training passes drop elements of what is added to the residual stream.
    drops_residuals: bool,
    /// Set between the two phases of a step; any other call discards it.
    pub(super) pending: Option<Pending<B>>,
    pub(super) hf_config: HfConfig,
    pub(super) total_parameters: usize,
    pub(super) quantization: Option<QuantizationInfo>,
    pub(super) untrained_tokens: Vec<u32>,
    pub(super) warnings: Vec<String>,
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
        options.check()?;
        let grown = Grown::asked(ModelConfig::new(&hf_config)?.tied, source, options.new_rows())?;
        let hf_config = grown.as_ref().map_or_else(|| hf_config.clone(), |grown| grown.config(&hf_config));
        let source = grown.as_ref().map_or(source, |grown| grown as &dyn TensorSource);
        let config = ModelConfig::new(&hf_config)?;
        let train_all = options.optimizer.is_some() && options.adapter.is_none();
        let loaded = load(&*backend, source, train_all, &options.weights, config)?;
        let (mut decoder, mut parameters) = (loaded.decoder, loaded.parameters);
        decoder.layers.iter_mut().for_each(|layer| layer.set_residual_dropout(options.resid_pdrop));
        let adapter = match &options.adapter {
            None => None,
            Some(AdapterOptions::Lora(lora)) => {
                Some(Adapter::new(&*backend, &mut decoder, lora, base_model, options.seed)?)
            }
            Some(AdapterOptions::Saved { path }) => Some(Adapter::read(&*backend, &mut decoder, path)?),
        };
        let (mut adapters, mut warnings) = (Adapters::default(), loaded.warnings);
        if let Some(adapter) = adapter {
            warnings.extend(adapter.warnings.iter().cloned());
            adapters.begin(adapter, options.optimizer.is_some(), &mut decoder, &mut parameters)?;
        }
        let training = match options.optimizer {
            None => None,
            Some(optimizer) => Some(Training {
                gradients: Gradients::new(&*backend, &parameters)?,
                optimizer: Optimizer::new(&*backend, &parameters, optimizer, &options.parameter_groups)?,
                broken: false,
                holds_gradient: false,
                is_mean: false,
            }),
        };
        let untrained_tokens = left_untrained(loaded.untrained_tokens, adapters.trained());
        let keep = SavePolicy::of(training.is_some(), options.gradient_checkpointing);
        Ok(Self {
            activations: Activations::new(&*backend, decoder.config.layers, keep),
            backend,
            decoder,
            grown: grown.is_some(),
            parameters,
            training,
            adapters,
            keep,
            neftune_noise_alpha: options.neftune_noise_alpha.filter(|alpha| *alpha > 0.0),
            drops_residuals: options.resid_pdrop > 0.0,
            pending: None,
            hf_config,
            total_parameters: loaded.total_parameters,
            quantization: loaded.quantization,
            untrained_tokens,
            warnings,
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

    /// Chooses again what forward keeps for backward, and gives back what it has kept so far. Nothing to do without training.
    pub fn set_gradient_checkpointing(&mut self, gradient_checkpointing: bool) {
        if self.training.is_some() {
            self.pending = None;
            self.keep = if gradient_checkpointing { SavePolicy::Inputs } else { SavePolicy::All };
            self.activations = Activations::new(&*self.backend, self.decoder.config.layers, self.keep);
        }
    }

    /// Logits `[T, vocabulary]` of a packed batch, on the host: for tests and inspection of small inputs.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a batch that breaks its contract.
    pub fn logits(&mut self, batch: &Batch<'_>) -> Result<Vec<f32>> {
        batch.check(self.decoder.config.vocab)?;
        self.pending = None;
        self.switch_to_mean("logits")?;
        let pass = packed_pass(&*self.backend, batch, (0..batch.input_ids.len() as i32).collect())?;
        self.decoder.logits(&*self.backend, &self.parameters, &pass, None, &mut self.activations)
    }

    /// Summed gradient of every trained tensor by name, on the host and as files would have it: for tests and inspection.
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
                Ok((spec.name.clone(), spec.stored(host)))
            })
            .collect()
    }

    /// Sets the summed gradient to zero without a step.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a session that does not train.
    pub fn clear_gradients(&mut self) -> Result<()> {
        self.switch_to_trained()?;
        self.training.as_mut().ok_or_else(not_training)?.clear(&*self.backend)
    }

    /// The supervised tokens of a batch and its pass, without random numbers; no pass where nothing carries a loss.
    pub(super) fn plain_pass(&mut self, batch: &Batch<'_>) -> Result<(Supervised, Option<Pass<B>>)> {
        batch.check(self.decoder.config.vocab)?;
        self.pending = None;
        let (supervised, predicting) = Supervised::of(batch);
        let pass = (!predicting.is_empty()).then(|| packed_pass(&*self.backend, batch, predicting));
        Ok((supervised, pass.transpose()?))
    }

    /// The same for a step of training: the adapter that is trained must be the active one, and drops by `key`, as noise is drawn.
    pub(super) fn training_pass(
        &mut self,
        place: &str,
        batch: &Batch<'_>,
        key: StepKey,
    ) -> Result<(Supervised, Option<Pass<B>>)> {
        batch.check(self.decoder.config.vocab)?;
        if self.training.is_none() {
            return Err(not_training());
        }
        if !self.adapters.trains_the_active() {
            let active = self.adapters.active().map_or("none".to_owned(), |name| format!("{name:?}"));
            let got = format!("{active}; set it with setAdapter");
            return Err(Error::argument(place, "the trained adapter to be the active one", got));
        }
        self.switch_to_trained()?;
        let drops = self.adapters.trained().is_some_and(|adapter| adapter.config.lora_dropout > 0.0);
        let draws = drops || self.drops_residuals || self.neftune_noise_alpha.is_some();
        let token_rows = draws.then(|| batch.token_rows()).transpose()?;
        let (supervised, mut pass) = self.plain_pass(batch)?;
        let (backend, d) = (&*self.backend, self.decoder.config.hidden);
        if let (Some(pass), Some(token_rows)) = (&mut pass, token_rows) {
            pass.draw(backend, key, &token_rows, batch.positions)?;
            if let Some(alpha) = self.neftune_noise_alpha {
                let key = Philox::new(key.seed).bits(Purpose::Noise, 0, key.step);
                pass.noise = Some(EmbeddingNoise::drawn(backend, alpha, key, &pass.layout.key_lengths, d)?);
            }
        }
        Ok((supervised, pass))
    }

    /// Adds the gradient of a pass of training.
    pub(super) fn accumulate_pass(
        &mut self,
        (supervised, pass): (Supervised, Option<Pass<B>>),
        objective: &Objective,
    ) -> Result<Vec<SequenceSums>> {
        let Some(pass) = pass else { return Ok(supervised.no_sums()) };
        let training = self.training.as_mut().ok_or_else(not_training)?;
        let (backend, keep, activations) = (&*self.backend, self.keep, &mut self.activations);
        training.add(|gradients| {
            let mut grads = Backward { parameters: &self.parameters, gradients };
            self.decoder.accumulate(backend, &mut grads, (&pass, &supervised), objective, keep, activations)
        })
    }

    /// As `accumulate`, with recorded noise `unit[T, d]` in (−1, 1) in place of random numbers: for comparisons. Nothing is drawn,
    /// dropout neither.
    ///
    /// # Errors
    /// `ArgumentInvalid` for another number of values, and as `accumulate`.
    pub fn accumulate_with_noise(
        &mut self,
        batch: &Batch<'_>,
        objective: &Objective,
        unit: &[f32],
    ) -> Result<Vec<SequenceSums>> {
        self.switch_to_trained()?;
        let (supervised, mut pass) = self.plain_pass(batch)?;
        if let Some(pass) = &mut pass {
            let (alpha, d) = (self.neftune_noise_alpha.unwrap_or(0.0), self.decoder.config.hidden);
            pass.noise = Some(EmbeddingNoise::given(&*self.backend, alpha, unit, &pass.layout.key_lengths, d)?);
        }
        self.accumulate_pass((supervised, pass), objective)
    }
}

/// Tokens that the base has not trained, and the adapter does not either.
fn left_untrained<B: Backend>(mut tokens: Vec<u32>, adapter: Option<&Adapter<B>>) -> Vec<u32> {
    let rows = adapter.and_then(|adapter| adapter.config.trainable_token_indices.as_ref());
    let trained = rows.map_or_else(Vec::new, TokenIndices::lists);
    tokens.retain(|token| !trained.iter().any(|(_, ids)| ids.contains(&(*token as usize))));
    tokens
}

fn packed_pass<B: Backend>(backend: &B, batch: &Batch<'_>, predicting: Vec<i32>) -> Result<Pass<B>> {
    Pass::new(backend, batch.input_ids, batch.positions, SequenceLayout::packed(batch.sequence_starts), predicting)
}

pub(super) fn not_training() -> Error {
    Error::argument("session", "a session created with an optimizer", "one that only evaluates and generates")
}
