//! Our side: a session of the engine on a backend. The micro-batches of a step go through in one packed pass, as the trainer
//! joins them; the gradient is the same.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tunesmith_engine::{
    AdamWOptions, AdapterOptions, Batch, Engine, Objective, OptimizerOptions, ParameterGroup, Session, SessionOptions,
    StepKey, Update, WeightOptions,
};
use tunesmith_formats::{AdapterConfig, ModelConfig};
use tunesmith_ops::{Backend, Result};

use crate::scenario::{RANK, SEED, Scenario, Step};
use crate::side::{Peak, Side, Taken};
use crate::weights::Weights;

/// Learning rate of every step: small, so that programs which round differently stay comparable.
pub const LEARNING_RATE: f64 = 1e-5;
/// The gradient is clipped to this norm, transformers' default.
pub const MAX_GRAD_NORM: f64 = 1.0;

/// A session and the scenario it trains on.
pub struct Ours<'a, B: Backend> {
    session: Session<B>,
    scenario: &'a Scenario,
    workload: usize,
    facts: Value,
}

impl<'a, B: Backend> Ours<'a, B> {
    /// Makes the model and a new adapter, and writes the adapter to a folder for the peers to start from.
    ///
    /// # Errors
    /// Those of loading a model.
    pub fn start(backend: Arc<B>, scenario: &'a Scenario, adapter: &Path) -> Result<Self> {
        let begun = Instant::now();
        let weights = Weights::new(&scenario.model, SEED);
        let config = ModelConfig::from_json(Path::new("config.json"), scenario.model.config.clone())?;
        let lora = AdapterConfig { r: RANK, lora_alpha: RANK as f64, ..AdapterConfig::default() };
        let options = SessionOptions {
            weights: WeightOptions::default(),
            adapter: Some(AdapterOptions::Lora(lora)),
            optimizer: Some(OptimizerOptions::AdamW(AdamWOptions::default())),
            parameter_groups: ParameterGroup::of_each_kind(LEARNING_RATE, 0.0),
            gradient_checkpointing: scenario.workloads[0].gradient_checkpointing,
            neftune_noise_alpha: None,
            resize_token_embeddings: None,
            resid_pdrop: 0.0,
            seed: u64::from(SEED),
        };
        let mut session = Session::new(Arc::clone(&backend), config, &weights, scenario.model.name, &options)?;
        backend.synchronize()?;
        let facts = json!({
            "process_seconds": begun.elapsed().as_secs_f64(), "generate_seconds": weights.seconds(),
            "backend": backend.name(), "dtype": backend.activation_dtype().name(),
        });
        session.save_adapter(adapter)?;
        Ok(Self { session, scenario, workload: 0, facts })
    }

    fn take(&mut self, step: &Step) -> Result<Taken> {
        let begun = Instant::now();
        let (mut ids, mut labels, mut positions, mut starts) = (Vec::new(), Vec::new(), Vec::new(), vec![0]);
        for row in step.iter().flatten() {
            ids.extend(&row.input_ids);
            labels.extend(&row.labels);
            positions.extend(0..row.input_ids.len() as i32);
            starts.push(ids.len() as i32);
        }
        let batch = Batch {
            input_ids: &ids,
            labels: &labels,
            positions: &positions,
            sequence_starts: &starts,
            weights: None,
            row_ids: None,
        };
        let sums = self.session.accumulate(&batch, &Objective::default(), StepKey::default())?;
        let (loss, weight) = sums.iter().fold((0.0, 0.0), |(loss, weight), sum| (loss + sum.loss, weight + sum.weight));
        let rates = vec![LEARNING_RATE; self.session.groups().len()];
        let update =
            Update { learning_rates: &rates, max_grad_norm: Some(MAX_GRAD_NORM), denominator: weight.max(1.0) };
        let grad_norm = self.session.update(&update)?.grad_norm;
        self.session.backend().synchronize()?;
        Ok(Taken { loss: loss / weight.max(1.0), grad_norm, seconds: begun.elapsed().as_secs_f64() })
    }
}

impl<B: Backend> Side for Ours<'_, B> {
    fn name(&self) -> &'static str {
        "tunesmith"
    }

    fn process(&self) -> u32 {
        std::process::id()
    }

    fn facts(&self) -> &Value {
        &self.facts
    }

    fn begin(&mut self, workload: usize) -> std::result::Result<(), String> {
        self.workload = workload;
        self.session.set_gradient_checkpointing(self.scenario.workloads[workload].gradient_checkpointing);
        Ok(())
    }

    fn step(&mut self, index: usize) -> std::result::Result<Taken, String> {
        let steps = &self.scenario.workloads[self.workload].steps;
        self.take(&steps[index % steps.len()]).map_err(|error| error.to_string())
    }

    fn release(&mut self) -> std::result::Result<(), String> {
        self.begin(self.workload)
    }

    fn peak(&mut self) -> std::result::Result<Peak, String> {
        Ok(Peak { peak_bytes: self.session.memory().peak as u64 })
    }
}
