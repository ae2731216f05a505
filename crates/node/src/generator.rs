//! Calls of a session that need no optimizer: values of tokens, and adapters. Generation has its own file.

use std::path::PathBuf;

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use tunesmith_engine::{self as engine, Objective};

use crate::batch::{Batch, OwnedBatch, SequenceSums};
use crate::device::Engine;
use crate::engine_thread::Disposal;
use crate::session::Session;
use crate::values::{ExtraValues, TokenValues};

/// Loaded adapters.
#[napi(object, use_nullable = true)]
pub struct AdapterState {
    /// Names, in the order of loading.
    pub names: Vec<String>,
    /// The active one; null: the base model alone.
    pub active: Option<String>,
}

#[napi]
impl Session {
    /// Loss of a batch, without a gradient; `objective` is JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<SequenceSums>")]
    pub fn evaluate<'env>(&self, env: &'env Env, batch: Batch<'_>, objective: String) -> napi::Result<Object<'env>> {
        let batch = OwnedBatch::from(&batch);
        let work = move |engine: &mut Engine, _: &Disposal| {
            Ok(engine.evaluate(&batch.borrow(), &Objective::from_json(&objective)?)?)
        };
        self.call(env, "evaluate", work, |_, sums| Ok(SequenceSums::new(&sums)))
    }

    /// What the model says of each label, without a gradient.
    #[napi(catch_unwind, ts_return_type = "Promise<TokenValues>")]
    pub fn log_probs<'env>(&self, env: &'env Env, batch: Batch<'_>, values: ExtraValues) -> napi::Result<Object<'env>> {
        let batch = OwnedBatch::from(&batch);
        let work = move |engine: &mut Engine, _: &Disposal| Ok(engine.log_probs(&batch.borrow(), values.into())?);
        self.call(env, "logProbs", work, |_, values| Ok(TokenValues::from(values)))
    }

    /// Loads a PEFT folder under a name, without activating it.
    #[napi(catch_unwind, ts_return_type = "Promise<AdapterState>")]
    pub fn load_adapter<'env>(&self, env: &'env Env, dir: String, name: String) -> napi::Result<Object<'env>> {
        self.change_adapter(env, "loadAdapter", move |engine| engine.load_adapter(&PathBuf::from(dir), &name))
    }

    /// Makes an adapter the active one.
    #[napi(catch_unwind, ts_return_type = "Promise<AdapterState>")]
    pub fn set_adapter<'env>(&self, env: &'env Env, name: String) -> napi::Result<Object<'env>> {
        self.change_adapter(env, "setAdapter", move |engine| engine.set_adapter(&name))
    }

    /// Leaves the base model alone.
    #[napi(catch_unwind, ts_return_type = "Promise<AdapterState>")]
    pub fn disable_adapter<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.change_adapter(env, "disableAdapter", |engine| engine.disable_adapter())
    }

    /// Puts back the adapter that was disabled.
    #[napi(catch_unwind, ts_return_type = "Promise<AdapterState>")]
    pub fn enable_adapter<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.change_adapter(env, "enableAdapter", |engine| engine.enable_adapter())
    }

    /// Frees an adapter that is not trained.
    #[napi(catch_unwind, ts_return_type = "Promise<AdapterState>")]
    pub fn delete_adapter<'env>(&self, env: &'env Env, name: String) -> napi::Result<Object<'env>> {
        self.change_adapter(env, "deleteAdapter", move |engine| engine.delete_adapter(&name))
    }

    /// Loaded adapters, and which one is active, after every call before this one.
    #[napi(catch_unwind, ts_return_type = "Promise<AdapterState>")]
    pub fn adapters<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.change_adapter(env, "adapters", |_| Ok(()))
    }
}

impl Session {
    /// Queues a change of adapters and gives what there is after it.
    fn change_adapter<'env>(
        &self,
        env: &'env Env,
        place: &'static str,
        change: impl FnOnce(&mut Engine) -> tunesmith_ops::Result<()> + Send + 'static,
    ) -> napi::Result<Object<'env>> {
        let work = move |engine: &mut Engine, _: &Disposal| {
            change(engine)?;
            Ok(engine.adapters())
        };
        self.call(env, place, work, |_, engine::AdapterState { names, active }| Ok(AdapterState { names, active }))
    }
}
