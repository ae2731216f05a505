//! The one place where a device is chosen, and the engine on it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use napi_derive::napi;
use tunesmith_cpu::Cpu;
use tunesmith_cuda::Cuda;
use tunesmith_engine::plan::{self, DeviceLayout};
use tunesmith_engine::{MemoryPlan, PassShape, Session, SessionOptions, WeightDtype};
use tunesmith_formats::ModelFiles;
use tunesmith_ops::{Backend, DType, Error, Memory, MemoryStats, Result};

/// Where a session computes.
#[napi(object, object_to_js = false)]
pub struct Place {
    /// `cuda`, `cpu`, or `auto` for CUDA where it can be used and else the CPU.
    pub device: String,
    /// Threads of the CPU; 0: as many as the process may use at once.
    pub threads: u32,
}

/// A device that sessions run on.
#[derive(Clone)]
pub enum Device {
    /// The CPU, in float32.
    Cpu(Arc<Cpu>),
    /// The first CUDA device, activations in the dtype it was opened with.
    Cuda(Arc<Cuda>),
}

/// A device, and why it is not a better one.
pub struct Opened {
    /// The device.
    pub device: Device,
    /// Set where `auto` fell back to the CPU.
    pub note: Option<String>,
}

/// What a session on a device would hold.
pub struct Planned {
    /// The bytes of the device's memory.
    pub plan: MemoryPlan,
    /// Name of the backend.
    pub device: &'static str,
    /// Bytes that the device's driver calls free. None on the CPU, whose memory is the host's.
    pub free: Option<usize>,
}

/// The first CUDA device.
#[cfg(not(test))]
fn open_cuda(dtype: DType) -> Result<Arc<Cuda>> {
    Cuda::new(0, dtype).map(Arc::new)
}

/// The emulated device, for the tests of this crate.
#[cfg(test)]
fn open_cuda(dtype: DType) -> Result<Arc<Cuda>> {
    Cuda::emulated(&tunesmith_cuda::EmulatedOptions::default(), dtype).map(Arc::new)
}

/// Name of the first CUDA device.
///
/// # Errors
/// `DeviceUnavailable` naming the missing piece.
pub fn cuda_name() -> Result<String> {
    Ok(open_cuda(DType::Bf16)?.attributes().name.clone())
}

/// Dtype of activations on a CUDA device; the CPU computes in float32.
fn cuda_dtype(options: &SessionOptions) -> DType {
    match options.weights.dtype {
        WeightDtype::Float32 => DType::F32,
        WeightDtype::Auto | WeightDtype::Bfloat16 => DType::Bf16,
    }
}

/// Opens the device of a session.
///
/// # Errors
/// `ArgumentInvalid` for another name, `DeviceUnavailable` naming what CUDA lacks, `OutOfMemory` when threads cannot start.
fn open(place: &Place, dtype: DType) -> Result<Opened> {
    let cpu = |note| Cpu::new(place.threads as usize).map(|cpu| Opened { device: Device::Cpu(Arc::new(cpu)), note });
    match place.device.as_str() {
        "cpu" => cpu(None),
        "cuda" => Ok(Opened { device: Device::Cuda(open_cuda(dtype)?), note: None }),
        "auto" => match open_cuda(dtype) {
            Ok(cuda) => Ok(Opened { device: Device::Cuda(cuda), note: None }),
            Err(error) => cpu(Some(error.to_string())),
        },
        other => Err(Error::argument("device", "\"cuda\", \"cpu\" or \"auto\"", format!("{other:?}"))),
    }
}

/// Plans a session on the device that it would be opened on. No weight is read.
///
/// # Errors
/// Those of opening the device and of the session's options.
pub fn plan(place: &Place, files: &ModelFiles, options: &SessionOptions, shape: PassShape) -> Result<Planned> {
    let dtype = cuda_dtype(options);
    let cuda = match place.device.as_str() {
        "cuda" => Some(open_cuda(dtype)?),
        "auto" => open_cuda(dtype).ok(),
        _ => None,
    };
    let (config, source) = (&files.config, &*files.source);
    let Some(cuda) = cuda else {
        let plan = plan::plan(DeviceLayout::CPU, config, source, options, shape)?;
        return Ok(Planned { plan, device: "cpu", free: None });
    };
    let accounts = Arc::new(cuda.accounts()?);
    let plan = plan::plan_on(&accounts, |bytes| accounts.rounded(bytes), config, source, options, shape)?;
    Ok(Planned { plan, device: cuda.name(), free: Some(cuda.memory_info()?.0) })
}

impl Device {
    /// Bytes in use and at peak.
    pub fn memory(&self) -> MemoryStats {
        match self {
            Self::Cpu(cpu) => cpu.memory_stats(),
            Self::Cuda(cuda) => cuda.memory_stats(),
        }
    }

    /// Name of the backend.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu(cpu) => cpu.name(),
            Self::Cuda(cuda) => cuda.name(),
        }
    }

    /// Name and version of the vendor's library that computes large products.
    pub fn product_library(&self) -> Option<String> {
        match self {
            Self::Cpu(_) => None,
            Self::Cuda(cuda) => cuda.product_library(),
        }
    }

    /// Threads that work on an op.
    pub fn threads(&self) -> usize {
        match self {
            Self::Cpu(cpu) => cpu.threads(),
            Self::Cuda(_) => 1,
        }
    }
}

/// The engine of a session, and the device it was opened on.
pub struct Engine {
    session: Box<dyn tunesmith_engine::Engine>,
    opened: Opened,
}

impl Engine {
    /// Opens the device and loads the model on it. To be called on the thread that will use the engine.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a device that is unknown, `DeviceUnavailable` naming what CUDA lacks, `OutOfMemory` when threads cannot
    /// start, and those of [`Session::new`].
    pub fn open(place: &Place, files: &ModelFiles, base_model: &str, options: &SessionOptions) -> Result<Self> {
        let opened = open(place, cuda_dtype(options))?;
        let (config, source) = (files.config.clone(), &*files.source);
        let session: Box<dyn tunesmith_engine::Engine> = match &opened.device {
            Device::Cpu(cpu) => Box::new(Session::new(Arc::clone(cpu), config, source, base_model, options)?),
            Device::Cuda(cuda) => Box::new(Session::new(Arc::clone(cuda), config, source, base_model, options)?),
        };
        Ok(Self { session, opened })
    }

    /// The device, and why it is not a better one.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }
}

impl Deref for Engine {
    type Target = dyn tunesmith_engine::Engine;

    fn deref(&self) -> &Self::Target {
        &*self.session
    }
}

impl DerefMut for Engine {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.session
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tunesmith_engine::{
        AdamWOptions, Batch, Objective, OptimizerOptions, ParameterGroup, StepKey, Update, WeightOptions,
    };

    use super::*;

    const TOKENS: [i32; 8] = [3, 7, 2, 9, 4, 4, 8, 5];

    fn place(device: &str) -> Place {
        Place { device: device.to_owned(), threads: 1 }
    }

    /// Full fine-tuning.
    fn options(dtype: WeightDtype) -> SessionOptions {
        SessionOptions {
            weights: WeightOptions { dtype, ..WeightOptions::default() },
            optimizer: Some(OptimizerOptions::AdamW(AdamWOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 })),
            parameter_groups: ParameterGroup::of_each_kind(1e-3, 0.0),
            ..SessionOptions::inference()
        }
    }

    fn files() -> ModelFiles {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models/llama");
        ModelFiles::open(&folder).unwrap()
    }

    /// An engine after two steps, and the loss of the first.
    fn trained(device: &str, dtype: WeightDtype) -> (Engine, f64) {
        let mut engine = Engine::open(&place(device), &files(), "llama", &options(dtype)).unwrap();
        let batch = Batch {
            input_ids: &TOKENS,
            labels: &TOKENS,
            positions: &[0, 1, 2, 3, 4, 5, 6, 7],
            sequence_starts: &[0, 8],
            weights: None,
            row_ids: None,
        };
        let mut losses = (1..=2).map(|step| {
            let sums = engine.accumulate(&batch, &Objective::default(), StepKey { seed: 0, step }).unwrap();
            let update = Update { learning_rates: &[1e-3; 4], max_grad_norm: Some(1.0), denominator: 7.0 };
            engine.update(&update).unwrap();
            sums[0].loss
        });
        let first = losses.next().unwrap();
        assert!(losses.next().unwrap() < first);
        (engine, first)
    }

    #[test]
    fn a_gpu_computes_in_bfloat16_unless_float32_is_asked_for() {
        let (_, want) = trained("cpu", WeightDtype::Auto);
        let mut losses = Vec::new();
        for (dtype, activations, tolerance) in [
            (WeightDtype::Auto, DType::Bf16, 4e-3),
            (WeightDtype::Bfloat16, DType::Bf16, 4e-3),
            (WeightDtype::Float32, DType::F32, 1e-6),
        ] {
            let (engine, loss) = trained("cuda", dtype);
            let Device::Cuda(cuda) = &engine.opened().device else { panic!("expected a CUDA device for {dtype:?}") };
            assert_eq!(cuda.activation_dtype(), activations, "{dtype:?}");
            assert!((loss / want - 1.0).abs() < tolerance, "{dtype:?}: {loss} beside {want}");
            losses.push(loss.to_bits());
        }
        assert_eq!(losses[0], losses[1]);
        assert_ne!(losses[0], losses[2]);
    }

    #[test]
    fn a_plan_is_that_of_the_device_and_tells_what_its_driver_calls_free() {
        let shape =
            PassShape { tokens: 8, longest: 8, supervised: 7, two_phases: false, objective: Objective::default() };
        for (device, dtype) in [
            ("cuda", WeightDtype::Auto),
            ("cuda", WeightDtype::Float32),
            ("auto", WeightDtype::Auto),
            ("cpu", WeightDtype::Auto),
        ] {
            let planned = plan(&place(device), &files(), &options(dtype), shape).unwrap();
            let (engine, _) = trained(device, dtype);
            assert_eq!(planned.plan.peak, engine.opened().device.memory().peak, "{device}, {dtype:?}");
            assert_eq!(planned.device, engine.opened().device.name());
            assert_eq!(planned.free, (planned.device == "cuda").then_some(64 << 30));
        }
    }
}
