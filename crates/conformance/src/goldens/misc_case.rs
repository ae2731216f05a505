//! Optimizer trajectories and sampling filters.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tunesmith_engine::Sampling;
use tunesmith_ops::{AdamWStep, AdamWTensor, Backend, Clip, DType, Error, Host, Result, View, ViewMut};

use super::reference::number;
use super::{Outcome, read_json};

/// Relative tolerance of optimizer trajectories, absolute tolerance of probabilities (README of the goldens).
const OPTIMIZER_TOLERANCE: f64 = 1e-5;
const SAMPLING_TOLERANCE: f64 = 1e-6;

pub fn run<B: Backend>(backend: &Arc<B>, dir: &Path, filter: &str, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    if dir.join("optimizers.json").is_file() && "misc/optimizers".contains(filter) {
        optimizers(&**backend, &read_json(&dir.join("optimizers.json"))?, report)?;
    }
    if dir.join("sampling.json").is_file() && "misc/sampling".contains(filter) {
        sampling(&read_json(&dir.join("sampling.json"))?, report)?;
    }
    if dir.join("nf4.safetensors").is_file() && "misc/nf4".contains(filter) {
        super::nf4_case::edges(&**backend, &dir.join("nf4.safetensors"), report)?;
    }
    Ok(())
}

fn list(value: &Value) -> Result<Vec<f32>> {
    let numbers = value.as_array().ok_or_else(|| Error::argument("misc", "a list of numbers", value))?;
    numbers
        .iter()
        .map(|number| {
            number.as_f64().map(|number| number as f32).ok_or_else(|| Error::argument("misc", "a number", number))
        })
        .collect()
}

fn entries(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn optimizers<B: Backend>(backend: &B, file: &Value, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    for (index, run) in entries(&file["runs"]).iter().enumerate() {
        let name = run["optim"].as_str().unwrap_or_default();
        let id = format!("misc/optimizers/{index}-{name}");
        if name != "adamw" {
            report(Outcome::unsupported(&id, "optimizer"));
            continue;
        }
        let mut worst = 0.0f64;
        // The bias is decayed like the rest in these runs, so both tensors are one group.
        for (tensor, start) in [("W", &file["W0"]), ("b", &file["b0"])] {
            worst = worst.max(trajectory(backend, file, run, tensor, &list(start)?)?);
        }
        report(Outcome::measured(&id, worst, OPTIMIZER_TOLERANCE));
    }
    Ok(())
}

fn trajectory<B: Backend>(backend: &B, file: &Value, run: &Value, tensor: &str, start: &[f32]) -> Result<f64> {
    let hyper = &run["hyper"];
    let n = start.len();
    let mut parameter = backend.upload(Host::F32(start))?;
    let (mut first, mut second) = (backend.zeros(DType::F32, n)?, backend.zeros(DType::F32, n)?);
    let mut worst = 0.0f64;
    for (step, (gradient, expected)) in entries(&file["grads"]).iter().zip(entries(&run["steps"])).enumerate() {
        let gradient = backend.upload(Host::F32(&list(&gradient[tensor])?))?;
        let constants = AdamWStep {
            step: step as u64 + 1,
            beta1: number(hyper, "beta1")?,
            beta2: number(hyper, "beta2")?,
            epsilon: number(hyper, "eps")?,
        };
        let clip = Clip { denominator: 1.0, max_grad_norm: None };
        let norm = backend.grad_norm(&clip, &[View::new(&gradient, 0, n)])?;
        backend.adamw(
            &constants,
            &norm,
            &mut [AdamWTensor {
                parameter: ViewMut::new(&mut parameter, 0, n),
                gradient: View::new(&gradient, 0, n),
                first_moment: ViewMut::new(&mut first, 0, n),
                second_moment: ViewMut::new(&mut second, 0, n),
                learning_rate: number(hyper, "lr")?,
                weight_decay: number(hyper, "weight_decay")?,
            }],
        )?;
        let mut got = vec![0.0; n];
        backend.read(View::new(&parameter, 0, n), &mut got)?;
        worst = worst.max(super::reference::relative_error(&got, &list(&expected[tensor])?));
    }
    Ok(worst)
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
