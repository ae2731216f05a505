//! The clock of the kernel benchmarks, and the sizes they run at.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Deserialize;
use tunesmith_conformance::{Inputs, Stage};
use tunesmith_ops::{Backend, Result};

/// Result with a message for the terminal.
pub type Outcome<T> = std::result::Result<T, String>;

/// Sizes of one model.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Model {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Size of a head.
    pub head_dim: usize,
    /// Rows of the embedding table.
    pub vocabulary: usize,
}

impl Model {
    /// A model of `benchmarks/shapes.json`.
    pub fn named(name: &str) -> Outcome<Self> {
        let models: BTreeMap<String, Self> =
            serde_json::from_str(include_str!("../../shapes.json")).map_err(|error| error.to_string())?;
        let known = || models.keys().cloned().collect::<Vec<_>>().join(", ");
        models.get(name).copied().ok_or_else(|| format!("[kernels] expected a model of {}, got {name}", known()))
    }

    /// `(out, in)` features of the linear layers that differ: query, key, gate, down.
    pub fn linears(&self) -> [(&'static str, usize, usize); 4] {
        [
            ("q_proj", self.heads * self.head_dim, self.hidden),
            ("k_proj", self.kv_heads * self.head_dim, self.hidden),
            ("gate_proj", self.intermediate, self.hidden),
            ("down_proj", self.hidden, self.intermediate),
        ]
    }
}

/// What one run of an op amounts to, for its rate.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Floating-point operations of the product alone.
    Flops(usize),
    /// Bytes that must be read and written at least once.
    Bytes(usize),
}

/// Milliseconds a case runs for, and its fewest runs: the fastest of them is what the machine can do undisturbed.
const PATIENCE: u128 = 200;
const RUNS: usize = 5;

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
    json: bool,
}

impl<'a, B: Backend> Bench<'a, B> {
    /// A bench that prints lines, or JSON objects.
    pub fn new(backend: &'a B, model: Model, tokens: usize, json: bool) -> Self {
        Self { backend, inputs: Inputs::new(1), model, tokens, json }
    }

    /// Puts numbers on the backend.
    pub fn stage(&self) -> Stage<'a, B> {
        Stage::new(self.backend)
    }

    /// Runs one case often and prints its fastest and its median run.
    pub fn time(&mut self, case: &str, work: Work, mut run: impl FnMut() -> Result<()>) -> Result<()> {
        let (start, mut times) = (Instant::now(), Vec::new());
        while times.len() < RUNS || start.elapsed().as_millis() < PATIENCE {
            let begin = Instant::now();
            run()?;
            self.backend.synchronize()?;
            times.push(begin.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let (fastest, median) = (times[0], times[times.len() / 2]);
        let (amount, unit) = match work {
            Work::Flops(n) => (n, "GFLOP/s"),
            Work::Bytes(n) => (n, "GB/s"),
        };
        let rate = amount as f64 / fastest / 1e9;
        if self.json {
            let line = serde_json::json!({
                "case": case, "tokens": self.tokens, "fastest_ms": fastest * 1e3, "median_ms": median * 1e3,
                "rate": rate, "unit": unit, "runs": times.len(),
            });
            println!("{line}");
        } else {
            println!("{case:<32} {:>9.3} ms {:>9.3} ms {rate:>8.1} {unit}", fastest * 1e3, median * 1e3);
        }
        Ok(())
    }
}
