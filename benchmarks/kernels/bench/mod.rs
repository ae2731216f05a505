//! The clock of the kernel benchmarks, and the sizes they run at.

mod data;
mod head;
mod model;
mod report;
pub mod streams;
mod trained;

use std::time::Instant;

use tunesmith_conformance::Inputs;
use tunesmith_ops::{Backend, Result};

pub use data::Held;
pub use model::Model;
pub use report::{Output, Timing};

/// Result with a message for the terminal.
pub type Outcome<T> = std::result::Result<T, String>;

/// What one run of an op amounts to, for its rate.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Floating-point operations of the product alone.
    Flops(usize),
    /// Bytes that must be read and written at least once.
    Bytes(usize),
}

/// Fewest samples of a case: the fastest of them is what the machine can do undisturbed.
const SAMPLES: usize = 5;
/// A sample is as many runs as take this long, so that neither the clock nor the waiting for the device is what is measured.
const SAMPLE_SECONDS: f64 = 2e-3;
/// Most runs of a sample.
const RUNS: usize = 200;

/// How long and how a benchmark runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Tokens of a packed batch.
    pub tokens: usize,
    /// Milliseconds a case is sampled for.
    pub patience: u128,
    /// How results are told.
    pub output: Output,
    /// Optimizers step all weights of the model in place of an adapter.
    pub whole: bool,
    /// Threads of the machine's own passes.
    pub threads: usize,
    /// Only cases whose name contains one of these; all where there is none.
    pub cases: Vec<String>,
}

/// A backend, the sizes, and the clock.
pub struct Bench<'a, B> {
    /// The backend under the clock.
    pub backend: &'a B,
    /// Where the numbers come from.
    pub inputs: Inputs,
    /// Sizes.
    pub model: Model,
    /// Tokens of a packed batch.
    pub tokens: usize,
    settings: Settings,
}

impl<'a, B: Backend> Bench<'a, B> {
    /// A bench of a model's sizes.
    pub fn new(backend: &'a B, model: Model, settings: Settings) -> Self {
        Self { backend, inputs: Inputs::new(1), model, tokens: settings.tokens, settings }
    }

    /// True when the case is asked for: what it needs is not worth making otherwise.
    pub fn wants(&self, case: &str) -> bool {
        self.settings.cases.is_empty() || self.settings.cases.iter().any(|text| case.contains(text))
    }

    /// Runs one case often and reports how long a run takes.
    pub fn time(&mut self, case: &str, work: Work, mut run: impl FnMut() -> Result<()>) -> Result<()> {
        if !self.wants(case) {
            return Ok(());
        }
        // The first run loads and compiles what it needs; the second shows how many make a sample.
        self.sample(1, &mut run)?;
        let once = self.sample(1, &mut run)?;
        let runs = ((SAMPLE_SECONDS / once.max(1e-9)) as usize + 1).min(RUNS);
        self.collect(case, work, runs, |bench| bench.sample(runs, &mut run))
    }

    /// The same for an op that writes over what it reads: `restore` puts its inputs back, outside the clock, before each run.
    /// `held` are the buffers of both.
    pub fn time_in_place<T>(
        &mut self,
        case: &str,
        work: Work,
        mut held: T,
        mut restore: impl FnMut(&mut T) -> Result<()>,
        mut run: impl FnMut(&mut T) -> Result<()>,
    ) -> Result<()> {
        if !self.wants(case) {
            return Ok(());
        }
        let mut once = |bench: &Self| {
            restore(&mut held)?;
            bench.sample(1, &mut || run(&mut held))
        };
        once(self)?;
        self.collect(case, work, 1, once)
    }

    fn collect(
        &mut self,
        case: &str,
        work: Work,
        runs: usize,
        mut one: impl FnMut(&Self) -> Result<f64>,
    ) -> Result<()> {
        let mut samples = Vec::new();
        if matches!(self.settings.output, Output::Interleaved) {
            report::announce(case, self.tokens, work, runs);
            while report::sample_is_wanted()? {
                samples.push(one(self)?);
                report::sample(case, samples[samples.len() - 1]);
            }
        } else {
            let start = Instant::now();
            while samples.len() < SAMPLES || start.elapsed().as_millis() < self.settings.patience {
                samples.push(one(self)?);
            }
        }
        if let Some(timing) = Timing::of(samples) {
            report::result(self.settings.output, case, self.tokens, work, &timing);
        }
        Ok(())
    }

    /// Seconds of one run, as the mean of several that are queued together.
    fn sample(&self, runs: usize, run: &mut impl FnMut() -> Result<()>) -> Result<f64> {
        self.backend.synchronize()?;
        let start = Instant::now();
        for _ in 0..runs {
            run()?;
        }
        self.backend.synchronize()?;
        Ok(start.elapsed().as_secs_f64() / runs as f64)
    }
}
