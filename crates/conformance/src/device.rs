//! Which backend a program of ours runs on: `--backend cuda --dtype bf16`, from the command line.

use std::sync::Arc;

use serde_json::{Value, json};
use tunesmith_cpu::Cpu;
use tunesmith_cuda::Cuda;
#[cfg(feature = "emulated")]
use tunesmith_cuda::EmulatedOptions;
use tunesmith_ops::{Backend, DType, Result};

/// Something that runs on whichever backend was chosen.
pub trait Job {
    /// What it gives.
    type Output;

    /// Runs it.
    fn run<B: Backend>(self, backend: Arc<B>) -> Self::Output;
}

/// A backend by its name, with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// `cpu`, `cuda`, or `emulated` where this build has the emulated device.
    pub backend: String,
    /// Activations: `f32` or `bf16`. The CPU computes in float32 only.
    pub dtype: DType,
    /// Threads of the CPU; 0 for one per core.
    pub threads: usize,
}

impl Default for Choice {
    fn default() -> Self {
        Self { backend: "cpu".to_owned(), dtype: DType::F32, threads: 0 }
    }
}

/// What `Choice::take` understands, for a usage line.
pub const USAGE: &str = "[--backend cpu|cuda|emulated] [--dtype f32|bf16] [--threads N]";

impl Choice {
    /// Takes one option from a command line: false when it is none of these.
    ///
    /// # Errors
    /// What was expected and what was got.
    pub fn take(&mut self, option: &str, rest: &mut impl Iterator<Item = String>) -> std::result::Result<bool, String> {
        let mut value = || rest.next().ok_or_else(|| format!("expected a value after {option}, got none; {USAGE}"));
        match option {
            "--backend" => self.backend = value()?,
            "--dtype" => {
                let text = value()?;
                let known = [("f32", DType::F32), ("bf16", DType::Bf16)].into_iter().find(|(name, _)| *name == text);
                self.dtype = known.ok_or_else(|| format!("expected f32 or bf16 after --dtype, got {text}; {USAGE}"))?.1;
            }
            "--threads" => {
                let text = value()?;
                self.threads =
                    text.parse().map_err(|_| format!("expected a number after --threads, got {text}; {USAGE}"))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Runs a job on the backend.
    ///
    /// # Errors
    /// What was expected and what was got, or why the backend cannot be had.
    pub fn run<J: Job>(&self, job: J) -> std::result::Result<J::Output, String> {
        let text = |error: tunesmith_ops::Error| error.to_string();
        match self.backend.as_str() {
            "cpu" if self.dtype != DType::F32 => {
                Err(format!("[backend] expected --dtype f32 on the CPU, which computes in float32, got {}", self.dtype))
            }
            "cpu" => Ok(job.run(opened(Cpu::new(self.threads)).map_err(text)?)),
            _ => Ok(job.run(self.cuda()?)),
        }
    }

    fn cuda(&self) -> std::result::Result<Arc<Cuda>, String> {
        let text = |error: tunesmith_ops::Error| error.to_string();
        match self.backend.as_str() {
            "cuda" => opened(Cuda::new(0, self.dtype)).map_err(text),
            #[cfg(feature = "emulated")]
            "emulated" => opened(Cuda::emulated(&EmulatedOptions::default(), self.dtype)).map_err(text),
            #[cfg(not(feature = "emulated"))]
            "emulated" => Err("[backend] expected a build with the feature `emulated`, got one without".to_owned()),
            other => Err(format!("[backend] expected cpu, cuda or emulated, got {other}; {USAGE}")),
        }
    }

    /// What the backend is, as JSON: of a card its facts, and of the driver its version even where no card opens.
    ///
    /// # Errors
    /// Why the backend cannot be had.
    pub fn probe(&self) -> std::result::Result<Value, String> {
        if self.backend == "cpu" {
            let cpu = Cpu::new(self.threads).map_err(|error| error.to_string())?;
            return Ok(json!({ "backend": "cpu", "instruction_set": cpu.isa().name(), "threads": cpu.threads() }));
        }
        let driver = tunesmith_cuda::probe().ok();
        let cuda = self.cuda()?;
        let facts = cuda.attributes();
        Ok(json!({
            "backend": self.backend, "device": facts.name, "capability": format!("{}.{}", facts.capability.0, facts.capability.1),
            "multiprocessors": facts.multiprocessors, "shared_memory": facts.shared_memory, "l2_cache": facts.l2_cache,
            "memory": facts.memory, "driver_version": facts.driver_version,
            "devices": driver.map(|driver| driver.devices), "kernels": tunesmith_cuda::kernels().count(),
            "image_bytes": tunesmith_cuda::image_bytes(),
        }))
    }
}

fn opened<B>(backend: Result<B>) -> Result<Arc<B>> {
    backend.map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Name;

    impl Job for Name {
        type Output = &'static str;
        fn run<B: Backend>(self, backend: Arc<B>) -> &'static str {
            backend.name()
        }
    }

    fn choice(arguments: &[&str]) -> std::result::Result<Choice, String> {
        let mut rest = arguments.iter().map(|text| (*text).to_owned());
        let mut choice = Choice::default();
        while let Some(option) = rest.next() {
            assert!(choice.take(&option, &mut rest)?, "{option}");
        }
        Ok(choice)
    }

    #[test]
    fn a_backend_is_chosen_by_name() {
        assert_eq!(choice(&["--backend", "cpu", "--threads", "1"]).and_then(|choice| choice.run(Name)), Ok("cpu"));
        assert!(
            choice(&["--backend", "abacus"]).and_then(|choice| choice.run(Name)).is_err_and(|e| e.contains("abacus"))
        );
        let half = choice(&["--dtype", "bf16"]).and_then(|choice| choice.run(Name));
        assert!(half.is_err_and(|e| e.contains("bfloat16")));
        assert!(choice(&["--dtype", "f8"]).is_err_and(|e| e.contains("f8")));
        assert!(choice(&["--threads", "many"]).is_err_and(|e| e.contains("many")));
        assert!(choice(&["--threads"]).is_err_and(|e| e.contains("none")));
        assert_eq!(Choice::default().take("--filter", &mut std::iter::empty()), Ok(false));
    }
}
