//! How a case is reported: as a line to read, as a JSON object, or sample by sample to a program that asks for each.

use std::io::{BufRead, Write};

use serde_json::{Value, json};
use tunesmith_ops::{Code, Error, Result};

use super::Work;

/// How results are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A table.
    Text,
    /// One JSON object a case.
    Json,
    /// JSON, and a case is sampled once per line `sample` on standard input until a line `next`: another program takes its
    /// own samples in between, so that what else happens on the machine happens to both.
    Interleaved,
}

/// How long the runs of a case took, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    fastest: f64,
    p20: f64,
    median: f64,
    p80: f64,
    samples: usize,
}

impl Timing {
    /// Of samples in seconds; none of no sample.
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let at = |share: f64| samples.get((share * (samples.len().checked_sub(1)? as f64)).round() as usize);
        let milliseconds = |share| at(share).map(|seconds| seconds * 1e3);
        Some(Self {
            fastest: milliseconds(0.0)?,
            p20: milliseconds(0.2)?,
            median: milliseconds(0.5)?,
            p80: milliseconds(0.8)?,
            samples: samples.len(),
        })
    }
}

fn amount(work: Work) -> (&'static str, usize, &'static str) {
    match work {
        Work::Flops(n) => ("flops", n, "GFLOP/s"),
        Work::Bytes(n) => ("bytes", n, "GB/s"),
    }
}

fn tell(line: &Value) {
    // A reader that has gone away is noticed where a sample is asked for.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Names the case that is ready to be sampled.
pub fn announce(case: &str, tokens: usize, work: Work, runs: usize) {
    let (kind, amount, _) = amount(work);
    tell(&json!({ "event": "case", "case": case, "tokens": tokens, kind: amount, "runs_per_sample": runs }));
}

/// True for a line `sample`, false for `next`.
pub fn sample_is_wanted() -> Result<bool> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    match (read, line.trim()) {
        (Ok(1..), "sample") => Ok(true),
        (Ok(1..), "next") => Ok(false),
        (_, other) => Err(Error::new(
            Code::ArgumentInvalid,
            "kernels",
            format!("expected a line `sample` or `next`, got {other:?}; the program that asks has ended"),
        )),
    }
}

/// One sample, in seconds.
pub fn sample(case: &str, seconds: f64) {
    tell(&json!({ "event": "sample", "case": case, "ms": seconds * 1e3 }));
}

/// The result of a case.
pub fn result(output: Output, case: &str, tokens: usize, work: Work, timing: &Timing) {
    let (kind, amount, unit) = amount(work);
    let rate = amount as f64 / (timing.fastest * 1e-3) / 1e9;
    if output == Output::Text {
        println!("{case:<40} {:>9.3} ms {:>9.3} ms {rate:>8.1} {unit}", timing.fastest, timing.median);
        return;
    }
    tell(&json!({
        "event": "result", "case": case, "tokens": tokens, "fastest_ms": timing.fastest, "p20_ms": timing.p20,
        "median_ms": timing.median, "p80_ms": timing.p80, "rate": rate, "unit": unit, "samples": timing.samples,
        kind: amount,
    }));
}
