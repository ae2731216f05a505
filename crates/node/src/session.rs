//! Door B: an engine on its thread, and how calls reach it.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{Object, ObjectFinalize, ToNapiValue};
use napi_derive::napi;
use tunesmith_engine::SessionOptions;
use tunesmith_formats::ModelFiles;

use crate::deferred::{Deferred, no_thread};
use crate::device::{Device, Engine, Place};
use crate::engine_thread::{Disposal, EngineThread};
use crate::error::{Failure, Outcome};
use crate::session_info::SessionInfo;

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
    /// The files of its model.
    pub(crate) files: Arc<ModelFiles>,
    /// Gone after `dispose()`.
    device: Option<Device>,
    info: SessionInfo,
    /// Bytes the garbage collector was told of.
    external_bytes: i64,
}

/// Starts an engine and gives the promise of its session, which is rejected where there are no options.
///
/// # Errors
/// What Node reports when no promise can be made.
pub fn create(
    env: &Env,
    files: Arc<ModelFiles>,
    base_model: String,
    place: Place,
    options: Outcome<SessionOptions>,
) -> napi::Result<Object<'_>> {
    let (deferred, promise) = Deferred::<Session>::new(env)?;
    let opened = Arc::clone(&files);
    // On the engine's thread: starting a CUDA device takes too long for the event loop.
    let open = move || Ok(Engine::open(&place, &opened, &base_model, &options?)?);
    let settled = deferred.clone();
    let started = move |outcome: Outcome<(EngineThread<Engine>, &Engine)>| {
        let parts = outcome.map(|(thread, engine)| (thread, SessionInfo::from(engine), engine.opened().device.clone()));
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

#[napi]
impl Session {
    /// Facts fixed at creation.
    #[napi(getter, catch_unwind)]
    pub fn info(&self) -> SessionInfo {
        self.info.clone()
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

    fn release_external(&mut self, env: Env) -> napi::Result<()> {
        env.adjust_external_memory(-std::mem::take(&mut self.external_bytes)).map(drop)
    }
}

impl ObjectFinalize for Session {
    fn finalize(mut self, env: Env) -> napi::Result<()> {
        self.release_external(env)
    }
}
