//! Optimizer trajectories and sampling filters.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tunesmith_engine::Sampling;
use tunesmith_ops::{
    AdamWStep, AdamWTensor, Backend, Clip, DType, Error, GradNorm, Host, Memory, Result, SgdStep, SgdTensor, View,
    ViewMut,
};

use super::case::read_json;
use super::outcome::Outcome;
use super::reference::number;

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
        let step: Step<B> = match name {
            "adamw" => adamw,
            "sgd" => sgd,
            _ => {
                report(Outcome::unsupported(&id, "optimizer"));
                continue;
            }
        };
        let mut worst = 0.0f64;
        // The bias is decayed like the rest in these runs, so both tensors are one group.
        for (tensor, start) in [("W", &file["W0"]), ("b", &file["b0"])] {
            worst = worst.max(trajectory(backend, file, run, tensor, &list(start)?, step)?);
        }
        report(Outcome::measured(&id, worst, OPTIMIZER_TOLERANCE));
    }
    Ok(())
}

/// A tensor in training: parameter, gradient and two of state.
type State<T> = [T; 4];

/// A step of an optimizer with its number and `hyper`.
type Step<B> = fn(&B, u64, &Value, &<B as GradNorm>::Norm, &mut State<<B as Memory>::Buffer>, usize) -> Result<()>;

fn adamw<B: Backend>(
    backend: &B,
    number_of_step: u64,
    hyper: &Value,
    norm: &B::Norm,
    state: &mut State<B::Buffer>,
    n: usize,
) -> Result<()> {
    let step = AdamWStep {
        step: number_of_step,
        beta1: number(hyper, "beta1")?,
        beta2: number(hyper, "beta2")?,
        epsilon: number(hyper, "eps")?,
    };
    let [parameter, gradient, first, second] = state;
    let tensor = AdamWTensor {
        parameter: ViewMut::new(parameter, 0, n),
        gradient: View::new(gradient, 0, n),
        first_moment: ViewMut::new(first, 0, n),
        second_moment: ViewMut::new(second, 0, n),
        learning_rate: number(hyper, "lr")?,
        weight_decay: number(hyper, "weight_decay")?,
    };
    backend.adamw(&step, norm, &mut [tensor])
}

fn sgd<B: Backend>(
    backend: &B,
    number_of_step: u64,
    hyper: &Value,
    norm: &B::Norm,
    state: &mut State<B::Buffer>,
    n: usize,
) -> Result<()> {
    let momentum = number(hyper, "momentum")?;
    let step = SgdStep {
        step: number_of_step,
        momentum,
        dampening: hyper["dampening"].as_f64().unwrap_or(0.0),
        nesterov: hyper["nesterov"].as_bool().unwrap_or(false),
    };
    let [parameter, gradient, buffer, _] = state;
    let tensor = SgdTensor {
        parameter: ViewMut::new(parameter, 0, n),
        gradient: View::new(gradient, 0, n),
        momentum_buffer: (momentum != 0.0).then(|| ViewMut::new(buffer, 0, n)),
        learning_rate: number(hyper, "lr")?,
        weight_decay: number(hyper, "weight_decay")?,
    };
    backend.sgd(&step, norm, &mut [tensor])
}

fn trajectory<B: Backend>(
    backend: &B,
    file: &Value,
    run: &Value,
    tensor: &str,
    start: &[f32],
    step: Step<B>,
) -> Result<f64> {
    let n = start.len();
    let zeros = || backend.zeros(DType::F32, n);
    let mut state = [backend.upload(Host::F32(start))?, zeros()?, zeros()?, zeros()?];
    let mut worst = 0.0f64;
    for (i, (gradient, expected)) in entries(&file["grads"]).iter().zip(entries(&run["steps"])).enumerate() {
        backend.write(Host::F32(&list(&gradient[tensor])?), ViewMut::new(&mut state[1], 0, n))?;
        let clip = Clip { denominator: 1.0, max_grad_norm: None };
        let norm = backend.grad_norm(&clip, &[View::new(&state[1], 0, n)])?;
        step(backend, i as u64 + 1, &run["hyper"], &norm, &mut state, n)?;
        let mut got = vec![0.0; n];
        backend.read(View::new(&state[0], 0, n), &mut got)?;
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
