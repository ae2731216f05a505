//! Door B: batches go in and sums come back.

use std::path::PathBuf;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{
    Float32ArraySlice, Float64ArraySlice, Int32ArraySlice, Object, ObjectFinalize, ToNapiValue,
};
use napi_derive::napi;
use tunesmith_engine::{Objective, SequenceSums, StepKey, Update};
use tunesmith_formats::ModelFiles;

use crate::batch::{OwnedBatch, RowSums};
use crate::companions;
use crate::deferred::{Deferred, no_thread};
use crate::device::{Device, Engine};
use crate::engine_thread::{Disposal, EngineThread};
use crate::error::{Failure, Outcome};
use crate::session_options::SessionOptions;

/// One group of trained tensors.
#[napi(object)]
#[derive(Clone)]
pub struct ParameterGroup {
    /// Name.
    pub name: String,
    /// Weight decay.
    pub weight_decay: f64,
    /// Trained numbers in it.
    pub parameters: f64,
}

/// Where the quantised matrices of a session came from.
#[napi(object, use_nullable = true)]
#[derive(Clone)]
pub struct QuantizationInfo {
    /// `nf4`.
    #[napi(ts_type = "'nf4'")]
    pub quant_type: String,
    /// Weights that share a scale.
    pub block_size: u32,
    /// Whether the scales are held in eight bits.
    pub double_quant: bool,
    /// Quantised matrices.
    pub matrices: u32,
    /// Of these, taken from the model's own files.
    pub from_checkpoint: u32,
    /// Of these, read from the cache.
    pub from_cache: u32,
    /// The cache's folder of this model.
    pub cache_dir: Option<String>,
}

/// Facts about a session, fixed at its creation.
#[napi(object, use_nullable = true)]
#[derive(Clone)]
pub struct SessionInfo {
    /// Backend's name.
    pub backend: String,
    /// Why `auto` fell back to the CPU.
    pub backend_note: Option<String>,
    /// Threads that work on an op.
    pub threads: u32,
    /// Numbers in the model, adapter not counted.
    pub total_parameters: f64,
    /// Numbers that are trained.
    pub trainable_parameters: f64,
    /// In the order of an update's learning rates.
    pub parameter_groups: Vec<ParameterGroup>,
    /// Adapted modules, sorted.
    pub adapter_modules: Option<Vec<String>>,
    /// Linear layers in four bits.
    pub quantization: Option<QuantizationInfo>,
    /// What the user should know of loading the model.
    pub warnings: Vec<String>,
}

/// What an update did.
#[napi(object)]
pub struct UpdateResult {
    /// Global norm before clipping.
    pub grad_norm: f64,
    /// False when the gradient was not finite and nothing was changed.
    pub applied: bool,
}

/// Loaded adapters.
#[napi(object, use_nullable = true)]
pub struct AdapterState {
    /// Names, in the order of loading.
    pub names: Vec<String>,
    /// The active one; null: the base model alone.
    pub active: Option<String>,
}

/// Bytes held by the engine.
#[napi(object)]
pub struct MemoryUsage {
    /// Now.
    pub in_use: f64,
    /// At most so far.
    pub peak: f64,
}

/// An engine on its thread.
#[napi(custom_finalize)]
pub struct Session {
    thread: EngineThread<Engine>,
    files: Arc<ModelFiles>,
    /// Gone after `dispose()`.
    device: Option<Device>,
    info: SessionInfo,
    /// Bytes the garbage collector was told of.
    external_bytes: i64,
}

/// Starts an engine and gives the promise of its session.
///
/// # Errors
/// What Node reports when no promise can be made.
pub fn create(
    env: &Env,
    files: Arc<ModelFiles>,
    base_model: String,
    options: SessionOptions,
) -> napi::Result<Object<'_>> {
    let (deferred, promise) = Deferred::<Session>::new(env)?;
    let opened = Arc::clone(&files);
    let (device, threads, dtype) = (options.device.clone(), options.threads as usize, options.cuda_dtype());
    let options = options.into_engine();
    // On the engine's thread: starting a CUDA device takes too long for the event loop.
    let open = move || Ok(Engine::open((&device, threads, dtype), &opened, &base_model, &options)?);
    let settled = deferred.clone();
    let started = move |outcome: Outcome<(EngineThread<Engine>, &Engine)>| {
        let parts = outcome.map(|(thread, engine)| (thread, info_of(engine), engine.opened().device.clone()));
        settled.settle(parts, move |env, (thread, info, device)| {
            // A GPU's memory is none of the garbage collector's business.
            let external_bytes = match &device {
                Device::Cpu(_) => device.memory().in_use as i64,
                Device::Cuda(_) => 0,
            };
            env.adjust_external_memory(external_bytes)?;
            Ok(Session { thread, files, device: Some(device), info, external_bytes })
        });
    };
    if let Err(error) = EngineThread::start(open, started) {
        deferred.reject(no_thread("createSession", &error));
    }
    Ok(promise)
}

fn info_of(engine: &Engine) -> SessionInfo {
    let groups = engine.groups();
    let modules = engine.adapter_modules().map(|modules| {
        let mut modules = modules.to_vec();
        modules.sort_unstable();
        modules
    });
    SessionInfo {
        backend: engine.opened().device.name().to_owned(),
        backend_note: engine.opened().note.clone(),
        threads: engine.opened().device.threads() as u32,
        total_parameters: engine.total_parameters() as f64,
        trainable_parameters: groups.iter().map(|group| group.parameters).sum::<usize>() as f64,
        parameter_groups: groups
            .into_iter()
            .map(|group| ParameterGroup {
                name: group.name,
                weight_decay: group.decay,
                parameters: group.parameters as f64,
            })
            .collect(),
        adapter_modules: modules,
        quantization: engine.quantization().map(|info| QuantizationInfo {
            quant_type: "nf4".to_owned(),
            block_size: info.nf4.block_size as u32,
            double_quant: info.nf4.double_quant,
            matrices: info.matrices as u32,
            from_checkpoint: info.from_checkpoint as u32,
            from_cache: info.from_cache as u32,
            cache_dir: info.cache.as_ref().map(|cache| cache.display().to_string()),
        }),
        warnings: engine.warnings().to_vec(),
    }
}

#[napi]
impl Session {
    /// Facts fixed at creation.
    #[napi(getter, catch_unwind)]
    pub fn info(&self) -> SessionInfo {
        self.info.clone()
    }

    /// Forward and backward of a batch; `seed` and `step` key the adapter's dropout.
    #[napi(catch_unwind, ts_return_type = "Promise<RowSums>")]
    pub fn accumulate<'env>(
        &self,
        env: &'env Env,
        input_ids: Int32ArraySlice<'_>,
        labels: Int32ArraySlice<'_>,
        positions: Int32ArraySlice<'_>,
        sequence_starts: Int32ArraySlice<'_>,
        weights: Option<Float32ArraySlice<'_>>,
        row_ids: Int32ArraySlice<'_>,
        seed: f64,
        step: f64,
    ) -> napi::Result<Object<'env>> {
        let batch = OwnedBatch::copy(&input_ids, &labels, &positions, &sequence_starts, weights.as_deref(), &row_ids);
        let key = StepKey { seed: seed as u64, step: step as u64 };
        let work = move |engine: &mut Engine, _: &Disposal| {
            Ok(engine.accumulate(&batch.borrow(), &Objective::default(), key)?)
        };
        self.call(env, "accumulate", work, |_, sums: Vec<SequenceSums>| Ok(RowSums::new(&sums)))
    }

    /// Loss of a batch, without a gradient.
    #[napi(catch_unwind, ts_return_type = "Promise<RowSums>")]
    pub fn evaluate<'env>(
        &self,
        env: &'env Env,
        input_ids: Int32ArraySlice<'_>,
        labels: Int32ArraySlice<'_>,
        positions: Int32ArraySlice<'_>,
        sequence_starts: Int32ArraySlice<'_>,
        weights: Option<Float32ArraySlice<'_>>,
        row_ids: Int32ArraySlice<'_>,
    ) -> napi::Result<Object<'env>> {
        let batch = OwnedBatch::copy(&input_ids, &labels, &positions, &sequence_starts, weights.as_deref(), &row_ids);
        let work =
            move |engine: &mut Engine, _: &Disposal| Ok(engine.evaluate(&batch.borrow(), &Objective::default())?);
        self.call(env, "evaluate", work, |_, sums: Vec<SequenceSums>| Ok(RowSums::new(&sums)))
    }

    /// One optimizer step; a `max_grad_norm` that is absent clips nothing.
    #[napi(catch_unwind, ts_return_type = "Promise<UpdateResult>")]
    pub fn update<'env>(
        &self,
        env: &'env Env,
        learning_rates: Float64ArraySlice<'_>,
        max_grad_norm: Option<f64>,
        denominator: f64,
    ) -> napi::Result<Object<'env>> {
        let rates = learning_rates.to_vec();
        let work = move |engine: &mut Engine, _: &Disposal| {
            Ok(engine.update(&Update { learning_rates: &rates, max_grad_norm, denominator })?)
        };
        self.call(env, "update", work, |_, updated| {
            Ok(UpdateResult { grad_norm: updated.grad_norm, applied: updated.applied })
        })
    }

    /// Writes adapter or model, and optimizer state, into a folder.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn save_checkpoint<'env>(&self, env: &'env Env, dir: String) -> napi::Result<Object<'env>> {
        let work = move |engine: &mut Engine, _: &Disposal| Ok(engine.save_checkpoint(&folder(dir)?)?);
        self.call(env, "saveCheckpoint", work, |_, ()| Ok(()))
    }

    /// Reads what `saveCheckpoint` wrote.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn load_checkpoint<'env>(&self, env: &'env Env, dir: String) -> napi::Result<Object<'env>> {
        let work = move |engine: &mut Engine, _: &Disposal| Ok(engine.load_checkpoint(&PathBuf::from(dir))?);
        self.call(env, "loadCheckpoint", work, |_, ()| Ok(()))
    }

    /// Writes a PEFT folder, or the model with its tokenizer after full fine-tuning.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn save_adapter<'env>(&self, env: &'env Env, dir: String) -> napi::Result<Object<'env>> {
        let files = Arc::clone(&self.files);
        let work = move |engine: &mut Engine, _: &Disposal| {
            let dir = folder(dir)?;
            engine.save_adapter(&dir)?;
            if engine.adapter_modules().is_none() {
                companions::copy(&files.tokenizer, &dir)?;
            }
            Ok(())
        };
        self.call(env, "saveAdapter", work, |_, ()| Ok(()))
    }

    /// Loads a PEFT folder under a name, without activating it.
    #[napi(catch_unwind, ts_return_type = "Promise<AdapterState>")]
    pub fn load_adapter<'env>(&self, env: &'env Env, name: String, dir: String) -> napi::Result<Object<'env>> {
        let work = move |engine: &mut Engine| engine.load_adapter(&PathBuf::from(dir), &name);
        self.change_adapter(env, "loadAdapter", work)
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

    /// Bytes in use and at peak.
    #[napi(catch_unwind)]
    pub fn memory(&self, env: Env) -> napi::Result<MemoryUsage> {
        let device = self.device.as_ref().ok_or_else(|| Failure::disposed("memory").into_js(env))?;
        let stats = device.memory();
        Ok(MemoryUsage { in_use: stats.in_use as f64, peak: stats.peak as f64 })
    }

    /// Frees the engine. A second call does nothing.
    #[napi(catch_unwind)]
    pub fn dispose(&mut self, env: Env) -> napi::Result<()> {
        self.device = None;
        self.thread.dispose();
        self.release_external(env)
    }
}

impl Session {
    /// Queues a call and gives its promise.
    pub fn call<'env, T: Send + 'static, J: ToNapiValue + 'static>(
        &self,
        env: &'env Env,
        place: &'static str,
        work: impl FnOnce(&mut Engine, &Disposal) -> Outcome<T> + Send + 'static,
        into_js: impl FnOnce(Env, T) -> napi::Result<J> + Send + 'static,
    ) -> napi::Result<Object<'env>> {
        let (deferred, promise) = Deferred::new(env)?;
        self.thread.submit(place, work, move |outcome| deferred.settle(outcome, into_js));
        Ok(promise)
    }

    /// Queues a change of adapters and gives what there is after it.
    fn change_adapter<'env>(
        &self,
        env: &'env Env,
        place: &'static str,
        change: impl FnOnce(&mut Engine) -> tunesmith_ops::Result<()> + Send + 'static,
    ) -> napi::Result<Object<'env>> {
        let work = move |engine: &mut Engine, _: &Disposal| {
            change(engine)?;
            let tunesmith_engine::AdapterState { names, active } = engine.adapters();
            Ok(AdapterState { names, active })
        };
        self.call(env, place, work, |_, state| Ok(state))
    }

    fn release_external(&mut self, env: Env) -> napi::Result<()> {
        env.adjust_external_memory(-std::mem::take(&mut self.external_bytes)).map(drop)
    }
}

impl ObjectFinalize for Session {
    fn finalize(mut self, env: Env) -> napi::Result<()> {
        self.release_external(env)
    }
}

/// The folder to write into, made where it is missing.
fn folder(dir: String) -> Outcome<PathBuf> {
    let path = PathBuf::from(dir);
    companions::make_folder(&path)?;
    Ok(path)
}
