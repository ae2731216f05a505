//! The one place where a device is chosen, and the engine on it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tunesmith_cpu::Cpu;
use tunesmith_cuda::Cuda;
use tunesmith_engine::{
    Batch, GroupInfo, QuantizationInfo, Request, SequenceSums, Session, SessionOptions, StepKey, TokenEvent, Update,
    Updated,
};
use tunesmith_formats::ModelFiles;
use tunesmith_ops::{Backend, DType, Error, Memory, MemoryStats, Result};

/// A device that sessions run on.
#[derive(Clone)]
pub enum Device {
    /// The CPU, in binary32.
    Cpu(Arc<Cpu>),
    /// The first CUDA device, activations in bfloat16.
    Cuda(Arc<Cuda>),
}

/// A device, and why it is not a better one.
pub struct Opened {
    /// The device.
    pub device: Device,
    /// Set where `auto` fell back to the CPU.
    pub note: Option<String>,
}

/// The first CUDA device.
fn open_cuda() -> Result<Arc<Cuda>> {
    Cuda::new(0, DType::Bf16).map(Arc::new)
}

/// Name of the first CUDA device.
///
/// # Errors
/// `DeviceUnavailable` naming the missing piece.
pub fn cuda_name() -> Result<String> {
    Ok(open_cuda()?.attributes().name.clone())
}

/// Opens a device: `cpu`, `cuda`, or `auto` for CUDA where it can be used and else the CPU. `threads` is for the CPU; 0 takes
/// as many as the process may use at once.
///
/// # Errors
/// `ArgumentInvalid` for another name, `DeviceUnavailable` naming what CUDA lacks, `OutOfMemory` when threads cannot start.
pub fn open(device: &str, threads: usize) -> Result<Opened> {
    let cpu = |note| Cpu::new(threads).map(|cpu| Opened { device: Device::Cpu(Arc::new(cpu)), note });
    match device {
        "cpu" => cpu(None),
        "cuda" => Ok(Opened { device: Device::Cuda(open_cuda()?), note: None }),
        "auto" => match open_cuda() {
            Ok(cuda) => Ok(Opened { device: Device::Cuda(cuda), note: None }),
            Err(error) => cpu(Some(error.to_string())),
        },
        other => Err(Error::argument("device", "\"cuda\", \"cpu\" or \"auto\"", format!("{other:?}"))),
    }
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

    /// Threads that work on an op.
    pub fn threads(&self) -> usize {
        match self {
            Self::Cpu(cpu) => cpu.threads(),
            Self::Cuda(_) => 1,
        }
    }
}

/// A session on whatever device it was opened on.
enum On {
    Cpu(Box<Session<Cpu>>),
    Cuda(Box<Session<Cuda>>),
}

/// Does the same with either session.
macro_rules! on {
    ($engine:expr, $session:ident => $body:expr) => {
        match $engine {
            On::Cpu($session) => $body,
            On::Cuda($session) => $body,
        }
    };
}

/// The engine of a session.
pub struct Engine {
    session: On,
    opened: Opened,
}

impl Engine {
    /// Opens the device and loads the model on it. To be called on the thread that will use the engine.
    ///
    /// # Errors
    /// Those of [`open`] and of [`Session::new`].
    pub fn open(
        device: &str,
        threads: usize,
        files: &ModelFiles,
        base_model: &str,
        options: &SessionOptions,
    ) -> Result<Self> {
        let opened = open(device, threads)?;
        let (config, source) = (files.config.clone(), &*files.source);
        let session = match &opened.device {
            Device::Cpu(cpu) => On::Cpu(Box::new(Session::new(Arc::clone(cpu), config, source, base_model, options)?)),
            Device::Cuda(cuda) => {
                On::Cuda(Box::new(Session::new(Arc::clone(cuda), config, source, base_model, options)?))
            }
        };
        Ok(Self { session, opened })
    }

    /// The device, and why it is not a better one.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The groups in the order of an update's learning rates.
    pub fn groups(&self) -> Vec<GroupInfo> {
        on!(&self.session, session => session.groups())
    }

    /// Adapted modules, or none.
    pub fn adapter_modules(&self) -> Option<&[String]> {
        on!(&self.session, session => session.adapter_modules())
    }

    /// Numbers in the model, adapter not counted.
    pub fn total_parameters(&self) -> usize {
        on!(&self.session, session => session.total_parameters())
    }

    /// How the frozen weights were quantised, where they were.
    pub fn quantization(&self) -> Option<&QuantizationInfo> {
        on!(&self.session, session => session.quantization())
    }

    /// What the user should know of this session.
    pub fn warnings(&self) -> &[String] {
        on!(&self.session, session => session.warnings())
    }

    /// Names of the loaded adapters, and which one is active.
    pub fn adapters(&self) -> (Vec<String>, Option<String>) {
        on!(&self.session, session => {
            let adapters = session.adapters();
            (adapters.names().into_iter().map(str::to_owned).collect(), adapters.active().map(str::to_owned))
        })
    }

    /// Loads a PEFT folder under a name, without activating it.
    ///
    /// # Errors
    /// As the session's.
    pub fn load_adapter(&mut self, name: &str, dir: &Path) -> Result<()> {
        on!(&mut self.session, session => session.load_adapter(name, dir))
    }

    /// Makes an adapter the active one.
    ///
    /// # Errors
    /// As the session's.
    pub fn set_adapter(&mut self, name: &str) -> Result<()> {
        on!(&mut self.session, session => session.set_adapter(name))
    }

    /// Leaves the base model alone.
    ///
    /// # Errors
    /// As the session's.
    pub fn disable_adapter(&mut self) -> Result<()> {
        on!(&mut self.session, session => session.disable_adapter())
    }

    /// Puts back the adapter that was disabled.
    ///
    /// # Errors
    /// As the session's.
    pub fn enable_adapter(&mut self) -> Result<()> {
        on!(&mut self.session, session => session.enable_adapter())
    }

    /// Frees an adapter that is not trained.
    ///
    /// # Errors
    /// As the session's.
    pub fn delete_adapter(&mut self, name: &str) -> Result<()> {
        on!(&mut self.session, session => session.delete_adapter(name))
    }

    /// Forward and backward of one packed batch.
    ///
    /// # Errors
    /// As the session's.
    pub fn accumulate(&mut self, batch: &Batch<'_>, key: StepKey) -> Result<Vec<SequenceSums>> {
        on!(&mut self.session, session => session.accumulate(batch, key))
    }

    /// Loss sums of one packed batch.
    ///
    /// # Errors
    /// As the session's.
    pub fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Vec<SequenceSums>> {
        on!(&mut self.session, session => session.evaluate(batch))
    }

    /// One optimizer step.
    ///
    /// # Errors
    /// As the session's.
    pub fn update(&mut self, update: &Update<'_>) -> Result<Updated> {
        on!(&mut self.session, session => session.update(update))
    }

    /// Continues prompts.
    ///
    /// # Errors
    /// As the session's.
    pub fn generate(&mut self, request: &Request, emit: &mut dyn FnMut(TokenEvent) -> ControlFlow<()>) -> Result<()> {
        on!(&mut self.session, session => session.generate(request, emit))
    }

    /// Writes adapter or model, and optimizer state.
    ///
    /// # Errors
    /// As the session's.
    pub fn save_checkpoint(&self, dir: &Path) -> Result<()> {
        on!(&self.session, session => session.save_checkpoint(dir))
    }

    /// Reads what [`Self::save_checkpoint`] wrote.
    ///
    /// # Errors
    /// As the session's.
    pub fn load_checkpoint(&mut self, dir: &Path) -> Result<()> {
        on!(&mut self.session, session => session.load_checkpoint(dir))
    }

    /// Writes a PEFT folder, or the model after full fine-tuning.
    ///
    /// # Errors
    /// As the session's.
    pub fn save_adapter(&self, dir: &Path) -> Result<()> {
        on!(&self.session, session => session.save_adapter(dir))
    }
}
