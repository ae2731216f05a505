//! Which backend a program of ours runs on: `--backend cpu`, by name from the command line.

use std::sync::Arc;

use tunesmith_cpu::Cpu;
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
    /// `cpu`.
    pub backend: String,
    /// Activations: `f32` or `bf16`. The CPU computes in binary32 only.
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
pub const USAGE: &str = "[--backend cpu] [--dtype f32|bf16] [--threads N]";

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
            "cpu" if self.dtype != DType::F32 => Err(format!(
                "[backend] expected --dtype f32 on the CPU, which computes in binary32, got {}",
                self.dtype
            )),
            "cpu" => Ok(job.run(opened(Cpu::new(self.threads)).map_err(text)?)),
            other => Err(format!("[backend] expected cpu, got {other}; {USAGE}")),
        }
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
