//! Timing and printing, shared by the benchmarks of all ops.

use std::time::Instant;

use serde::Deserialize;
use tunesmith_conformance::Inputs;
use tunesmith_ops::{Backend, Host, Result, View, ViewMut};

/// Sizes of one model, by the letters of the contracts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    pub name: String,
    pub tokens: usize,
    pub hidden: usize,
    pub ffn: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub vocab: usize,
    pub rank: usize,
}

/// Work of one call.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Floating-point operations.
    Flops(f64),
    /// Bytes read and written once each.
    Bytes(f64),
}

/// A backend, the shape at hand and how long each measurement may take.
pub struct Bench<'a, B: Backend> {
    pub backend: &'a B,
    pub shape: &'a Shape,
    pub rounds: usize,
}

impl<B: Backend> Bench<'_, B> {
    /// A buffer of seeded, normally distributed numbers: never zeros, which run at another clock.
    pub fn random(&self, len: usize) -> Result<B::Buffer> {
        self.backend.upload(Host::F32(&Inputs::new(len as u64 + 1).normal(len)))
    }

    /// Integers below a limit.
    pub fn integers(&self, len: usize, below: usize) -> Result<B::Buffer> {
        self.backend.upload(Host::I32(&Inputs::new(len as u64 + 2).integers(len, below)))
    }

    /// Times a call: one warm-up, then the best and the median of the rounds, as one JSON line.
    pub fn time(&self, op: &str, work: Work, mut call: impl FnMut() -> Result<()>) -> Result<()> {
        call()?;
        self.backend.synchronize()?;
        let mut seconds = Vec::with_capacity(self.rounds);
        for _ in 0..self.rounds {
            let start = Instant::now();
            call()?;
            self.backend.synchronize()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        let (best, median) = (seconds[0], seconds[seconds.len() / 2]);
        let (rate, unit) = match work {
            Work::Flops(flops) => (flops / best / 1e9, "GFLOP/s"),
            Work::Bytes(bytes) => (bytes / best / 1e9, "GB/s"),
        };
        let line = serde_json::json!({
            "op": op, "shape": self.shape.name, "tokens": self.shape.tokens, "backend": self.backend.name(),
            "best_ms": best * 1e3, "median_ms": median * 1e3, "rate": rate, "unit": unit,
        });
        println!("{line}");
        Ok(())
    }
}

/// The first `len` elements.
pub fn view<T>(buffer: &T, len: usize) -> View<'_, T> {
    View::new(buffer, 0, len)
}

/// The first `len` elements, writable.
pub fn view_mut<T>(buffer: &mut T, len: usize) -> ViewMut<'_, T> {
    ViewMut::new(buffer, 0, len)
}
