//! The calls of a session.

use std::path::Path;

use tunesmith_formats::write_atomic;
use tunesmith_ops::{Backend, Code, DType, Error, MemoryStats, Result};

use super::checkpoint;
use super::engine::{AdapterState, Engine};
use super::state::{Pending, Session, not_training};
use crate::adapter::with_dtype;
use crate::batch::{Batch, StepKey};
use crate::decode::{Request, TokenSink, generate};
use crate::layer::Backward;
use crate::load::QuantizationInfo;
use crate::objective::{Asked, Objective, SequenceSums, TokenCoefficients, TokenValues};
use crate::optimizer::{GroupInfo, Update, Updated};
use crate::recompute::SavePolicy;

impl<B: Backend + Send + Sync> Engine for Session<B> {
    fn trains(&self) -> bool {
        self.training.is_some()
    }

    fn total_parameters(&self) -> usize {
        self.total_parameters
    }

    fn quantization(&self) -> Option<&QuantizationInfo> {
        self.quantization.as_ref()
    }

    fn untrained_tokens(&self) -> &[u32] {
        if self.decoder.embedding.is_trained() { &[] } else { &self.untrained_tokens }
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn adapter_modules(&self) -> Option<&[String]> {
        self.adapters.to_save(&self.parameters).map(|(adapter, _)| adapter.modules.as_slice())
    }

    fn groups(&self) -> Vec<GroupInfo> {
        self.training.as_ref().map(|training| training.optimizer.groups(self.parameters())).unwrap_or_default()
    }

    fn memory(&self) -> MemoryStats {
        self.backend.memory_stats()
    }

    fn accumulate(&mut self, batch: &Batch<'_>, objective: &Objective, key: StepKey) -> Result<Vec<SequenceSums>> {
        let pass = self.training_pass("accumulate", batch, key)?;
        self.accumulate_pass(pass, objective)
    }

    fn evaluate(&mut self, batch: &Batch<'_>, objective: &Objective) -> Result<Vec<SequenceSums>> {
        self.switch_to_mean("evaluate")?;
        let (supervised, pass) = self.plain_pass(batch)?;
        let Some(pass) = pass else { return Ok(supervised.no_sums()) };
        let (backend, activations) = (&*self.backend, &mut self.activations);
        self.decoder.evaluate(backend, &self.parameters, (&pass, &supervised), objective, activations)
    }

    fn log_probs(&mut self, batch: &Batch<'_>, asked: Asked) -> Result<TokenValues> {
        self.switch_to_mean("logProbs")?;
        let (supervised, pass) = self.plain_pass(batch)?;
        let supervised = supervised.at("logProbs", asked.temperature)?;
        let Some(pass) = pass else { return Ok(supervised.no_values(asked)) };
        let (backend, activations) = (&*self.backend, &mut self.activations);
        self.decoder.values(backend, &self.parameters, (&pass, &supervised), asked, SavePolicy::Nothing, activations)
    }

    fn forward(&mut self, batch: &Batch<'_>, key: StepKey, asked: Asked) -> Result<TokenValues> {
        let (supervised, pass) = self.training_pass("forward", batch, key)?;
        let supervised = supervised.at("forward", asked.temperature)?;
        let Some(pass) = pass else {
            let values = supervised.no_values(asked);
            self.pending = Some(Pending { pass: None, supervised });
            return Ok(values);
        };
        let (backend, activations) = (&*self.backend, &mut self.activations);
        let values =
            self.decoder.values(backend, &self.parameters, (&pass, &supervised), asked, self.keep, activations)?;
        self.pending = Some(Pending { pass: Some(pass), supervised });
        Ok(values)
    }

    fn backward(&mut self, coefficients: &TokenCoefficients<'_>) -> Result<()> {
        let training = self.training.as_mut().ok_or_else(not_training)?;
        let Some(Pending { pass, supervised }) = self.pending.take() else {
            let got = "none, or another call in between; call forward, then backward";
            return Err(Error::argument("backward", "a forward just before it", got));
        };
        supervised.check(coefficients)?;
        let Some(pass) = pass else { return Ok(()) };
        let (backend, keep, activations) = (&*self.backend, self.keep, &mut self.activations);
        training.add(|gradients| {
            let mut grads = Backward { parameters: &self.parameters, gradients };
            self.decoder.backward(backend, &mut grads, (&pass, &supervised), coefficients, keep, activations)
        })
    }

    fn update(&mut self, update: &Update<'_>) -> Result<Updated> {
        self.pending = None;
        self.switch_to_trained()?;
        let training = self.training.as_mut().ok_or_else(not_training)?;
        training.check_whole()?;
        let (optimizer, gradients) = (&mut training.optimizer, &mut training.gradients);
        let parameters = self.adapters.trained_parameters_mut(&mut self.parameters);
        let updated = optimizer.update(&*self.backend, parameters, gradients, update)?;
        training.holds_gradient = false;
        Ok(updated)
    }

    fn discard_gradient(&mut self) -> Result<Vec<String>> {
        self.pending = None;
        self.switch_to_trained()?;
        let training = self.training.as_mut().ok_or_else(not_training)?;
        let specs = self.adapters.trained_parameters_mut(&mut self.parameters).specs();
        let names = training.gradients.not_finite(&*self.backend, specs)?;
        training.clear(&*self.backend)?;
        Ok(names)
    }

    fn generate(&mut self, request: &Request, sink: &mut dyn TokenSink) -> Result<()> {
        self.pending = None;
        self.switch_to_mean("generate")?;
        let (backend, activations) = (&*self.backend, &mut self.activations);
        generate(backend, &self.decoder, &self.parameters, activations, request, sink)
    }

    fn save_checkpoint(&mut self, dir: &Path) -> Result<()> {
        if self.training.is_none() {
            return Err(not_training());
        }
        self.save_weights(dir, false)?;
        let training = self.training.as_ref().ok_or_else(not_training)?;
        let path = dir.join(checkpoint::OPTIMIZER_FILE);
        let trained = training.is_mean.then_some(&training.gradients);
        checkpoint::save_optimizer(&*self.backend, self.parameters(), &training.optimizer, trained, &path)
    }

    fn load_checkpoint(&mut self, dir: &Path) -> Result<()> {
        self.pending = None;
        let training = self.training.as_mut().ok_or_else(not_training)?;
        let weights = if self.adapters.trained().is_some() { checkpoint::ADAPTER_FILE } else { checkpoint::MODEL_FILE };
        // A schedule-free optimizer's file has the mean in place of the trained point.
        let has_mean = training.optimizer.options().schedule_free().is_some();
        checkpoint::load(
            &*self.backend,
            self.adapters.trained_parameters_mut(&mut self.parameters),
            &mut training.optimizer,
            has_mean.then_some(&mut training.gradients),
            (&dir.join(weights), &dir.join(checkpoint::OPTIMIZER_FILE)),
        )?;
        training.is_mean = has_mean;
        (training.broken, training.holds_gradient) = (false, false);
        if has_mean { Ok(()) } else { training.clear(&*self.backend) }
    }

    fn save_adapter(&mut self, dir: &Path) -> Result<()> {
        self.save_weights(dir, true)
    }

    fn load_adapter(&mut self, dir: &Path, name: &str) -> Result<()> {
        self.pending = None;
        if self.training.is_some() && self.adapters.trained().is_none() {
            let got = "full fine-tuning; load it into a session of its own";
            return Err(Error::argument("loadAdapter", "a session whose base model is frozen", got));
        }
        self.adapters.load(&self.backend, &mut self.decoder, &mut self.parameters, (dir, name))
    }

    fn set_adapter(&mut self, name: &str) -> Result<()> {
        self.pending = None;
        self.adapters.set(name, &mut self.decoder, &mut self.parameters)
    }

    fn disable_adapter(&mut self) -> Result<()> {
        self.pending = None;
        self.adapters.disable(&mut self.decoder, &mut self.parameters)
    }

    fn enable_adapter(&mut self) -> Result<()> {
        self.pending = None;
        self.adapters.enable(&mut self.decoder, &mut self.parameters)
    }

    fn delete_adapter(&mut self, name: &str) -> Result<()> {
        self.pending = None;
        self.adapters.delete(name, &mut self.decoder, &mut self.parameters)
    }

    fn adapters(&self) -> AdapterState {
        AdapterState {
            names: self.adapters.names().into_iter().map(str::to_owned).collect(),
            active: self.adapters.active().map(str::to_owned),
        }
    }
}

impl<B: Backend> Session<B> {
    /// Writes the adapter, with `converted` also that for the whole base, or the whole model after full fine-tuning.
    fn save_weights(&mut self, dir: &Path, converted: bool) -> Result<()> {
        self.switch_to_mean("saveAdapter")?;
        if let Some((adapter, parameters)) = self.adapters.to_save(&self.parameters) {
            // Of a checkpoint the tables follow from the model and the options.
            let tables = if converted {
                adapter.tables(&*self.backend, parameters, (&self.decoder, self.grown))?
            } else {
                Vec::new()
            };
            adapter.save(&*self.backend, parameters, &tables, dir)?;
            return if converted { adapter.save_converted(&*self.backend, parameters, dir) } else { Ok(()) };
        }
        if self.training.is_none() {
            return Err(not_training());
        }
        checkpoint::save_parameters(&*self.backend, &self.parameters, &dir.join(checkpoint::MODEL_FILE))?;
        // What was trained is float32, whatever the model was before.
        let json = serde_json::to_vec_pretty(&with_dtype(self.hf_config.as_map(), DType::F32))
            .map_err(|error| Error::new(Code::Internal, "config.json", error.to_string()))?;
        write_atomic(&dir.join("config.json"), &json)
    }
}
