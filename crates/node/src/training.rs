//! Calls of a session that trains: passes, updates and what they leave in files.

use std::path::PathBuf;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{Float64ArraySlice, Object};
use napi_derive::napi;
use tunesmith_engine::{self as engine, Objective};

use crate::batch::{Batch, OwnedBatch, SequenceSums};
use crate::companions;
use crate::device::Engine;
use crate::engine_thread::Disposal;
use crate::error::Outcome;
use crate::session::Session;
use crate::values::{Coefficients, ExtraValues, OwnedCoefficients, TokenValues};

/// What keys the dropout of an adapter.
#[napi(object, object_to_js = false)]
pub struct StepKey {
    /// Optimizer step: an integer from 0.
    pub step: f64,
    /// Seed of the run: an integer from 0.
    pub seed: f64,
}

impl From<StepKey> for engine::StepKey {
    fn from(key: StepKey) -> Self {
        Self { seed: key.seed as u64, step: key.step as u64 }
    }
}

/// What an update is asked to do.
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct UpdateOptions<'env> {
    /// One per parameter group.
    pub learning_rates: Float64ArraySlice<'env>,
    /// Clip the global norm to this; null clips nothing.
    pub max_grad_norm: Option<f64>,
    /// The summed gradient is divided by this.
    pub denominator: f64,
}

/// What an update did.
#[napi(object)]
pub struct UpdateResult {
    /// Global norm before clipping.
    pub grad_norm: f64,
    /// False when the gradient was not finite and nothing was changed.
    pub applied: bool,
}

#[napi]
impl Session {
    /// Forward and backward of a batch; `objective` is JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<SequenceSums>")]
    pub fn accumulate<'env>(
        &self,
        env: &'env Env,
        batch: Batch<'_>,
        objective: String,
        key: StepKey,
    ) -> napi::Result<Object<'env>> {
        let batch = OwnedBatch::from(&batch);
        let work = move |engine: &mut Engine, _: &Disposal| {
            Ok(engine.accumulate(&batch.borrow(), &Objective::from_json(&objective)?, key.into())?)
        };
        self.call(env, "accumulate", work, |_, sums| Ok(SequenceSums::new(&sums)))
    }

    /// The first of two phases: values of a batch, its activations kept for `backward`.
    #[napi(catch_unwind, ts_return_type = "Promise<TokenValues>")]
    pub fn forward<'env>(
        &self,
        env: &'env Env,
        batch: Batch<'_>,
        key: StepKey,
        values: ExtraValues,
    ) -> napi::Result<Object<'env>> {
        let batch = OwnedBatch::from(&batch);
        let work =
            move |engine: &mut Engine, _: &Disposal| Ok(engine.forward(&batch.borrow(), key.into(), values.into())?);
        self.call(env, "forward", work, |_, values| Ok(TokenValues::from(values)))
    }

    /// The second phase: the gradient of the loss whose derivatives are given.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn backward<'env>(&self, env: &'env Env, coefficients: Coefficients<'_>) -> napi::Result<Object<'env>> {
        let coefficients = OwnedCoefficients::from(&coefficients);
        let work = move |engine: &mut Engine, _: &Disposal| Ok(engine.backward(&coefficients.borrow())?);
        self.call(env, "backward", work, |_, ()| Ok(()))
    }

    /// One optimizer step.
    #[napi(catch_unwind, ts_return_type = "Promise<UpdateResult>")]
    pub fn update<'env>(&self, env: &'env Env, options: UpdateOptions<'_>) -> napi::Result<Object<'env>> {
        let UpdateOptions { learning_rates, max_grad_norm, denominator } = options;
        let rates = learning_rates.to_vec();
        let work = move |engine: &mut Engine, _: &Disposal| {
            Ok(engine.update(&engine::Update { learning_rates: &rates, max_grad_norm, denominator })?)
        };
        self.call(env, "update", work, |_, updated| {
            Ok(UpdateResult { grad_norm: updated.grad_norm, applied: updated.applied })
        })
    }

    /// Throws the summed gradient away; names the tensors in which a value of it was not finite.
    #[napi(catch_unwind, ts_return_type = "Promise<string[]>")]
    pub fn discard_gradient<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let work = move |engine: &mut Engine, _: &Disposal| Ok(engine.discard_gradient()?);
        self.call(env, "discardGradient", work, |_, names| Ok(names))
    }

    /// Writes adapter or model, and optimizer state, into a folder.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn save_checkpoint<'env>(&self, env: &'env Env, dir: String) -> napi::Result<Object<'env>> {
        let files = Arc::clone(&self.files);
        let work = move |engine: &mut Engine, _: &Disposal| {
            let dir = folder(dir)?;
            engine.save_checkpoint(&dir)?;
            // A whole model is one that can be opened.
            if engine.adapter_modules().is_none() {
                companions::copy(&files, &dir)?;
            }
            Ok(())
        };
        self.call(env, "saveCheckpoint", work, |_, ()| Ok(()))
    }

    /// Reads what `saveCheckpoint` wrote.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn load_checkpoint<'env>(&self, env: &'env Env, dir: String) -> napi::Result<Object<'env>> {
        let work = move |engine: &mut Engine, _: &Disposal| Ok(engine.load_checkpoint(&PathBuf::from(dir))?);
        self.call(env, "loadCheckpoint", work, |_, ()| Ok(()))
    }

    /// Writes a PEFT folder, or the model after full fine-tuning, each with its tokenizer.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn save_adapter<'env>(&self, env: &'env Env, dir: String) -> napi::Result<Object<'env>> {
        let files = Arc::clone(&self.files);
        let work = move |engine: &mut Engine, _: &Disposal| {
            let dir = folder(dir)?;
            engine.save_adapter(&dir)?;
            if engine.adapter_modules().is_none() {
                return companions::copy(&files, &dir);
            }
            companions::copy_tokenizer(&files, &dir)
        };
        self.call(env, "saveAdapter", work, |_, ()| Ok(()))
    }
}

/// The folder to write into, made where it is missing.
fn folder(dir: String) -> Outcome<PathBuf> {
    let path = PathBuf::from(dir);
    companions::make_folder(&path)?;
    Ok(path)
}
