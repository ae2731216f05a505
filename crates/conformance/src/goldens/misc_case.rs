//! Sampling filters, and what other small cases there are.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tunesmith_engine::Sampling;
use tunesmith_ops::{Backend, Result};

use super::case::{entries, list, read_json};
use super::outcome::Outcome;
use super::reference::number;

/// Absolute tolerance of probabilities (README of the goldens).
const SAMPLING_TOLERANCE: f64 = 1e-6;

pub fn run<B: Backend>(backend: &Arc<B>, dir: &Path, filter: &str, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    if "misc/optimizers".contains(filter) {
        super::optimizer_case::run(&**backend, dir, report)?;
    }
    if dir.join("sampling.json").is_file() && "misc/sampling".contains(filter) {
        sampling(&read_json(&dir.join("sampling.json"))?, report)?;
    }
    if dir.join("nf4.safetensors").is_file() && "misc/nf4".contains(filter) {
        super::nf4_case::edges(&**backend, &dir.join("nf4.safetensors"), report)?;
    }
    Ok(())
}

fn sampling(cases: &Value, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    for (index, case) in entries(cases).iter().enumerate() {
        let sampling = Sampling {
            temperature: number(case, "temperature")?,
            top_k: number(case, "top_k")? as usize,
            top_p: number(case, "top_p")?,
            min_p: number(case, "min_p")?,
            repetition_penalty: number(case, "repetition_penalty")?,
            seed: 0,
        };
        let context: Vec<i32> = list(&case["input_ids"])?.iter().map(|id| *id as i32).collect();
        let got = sampling.probabilities(&mut list(&case["logits"])?, &context);
        let expected = list(&case["probabilities"])?;
        let worst = got.iter().zip(&expected).fold(0.0f64, |most, (a, b)| most.max(f64::from((a - b).abs())));
        let error = if got.len() == expected.len() { worst } else { f64::INFINITY };
        report(Outcome::measured(&format!("misc/sampling/{index}"), error, SAMPLING_TOLERANCE));
    }
    Ok(())
}
