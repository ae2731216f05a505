//! Optimizer trajectories: `optimizers.json`, and `optimizers2.json` with its tensors, states in eight bits among them.

use std::path::Path;

use serde_json::{Value, json};
use tunesmith_engine::optimizer::{
    Gradients, Optimizer, ParameterId, ParameterKind, ParameterSpec, Parameters, SlotShape,
};
use tunesmith_engine::{OptimizerOptions, ParameterGroup, Update};
use tunesmith_formats::{SafetensorsFile, TensorSource as _};
use tunesmith_ops::{Backend, Code, Error, Host, Result, View};

use super::case::{entries, list, read_json};
use super::outcome::Outcome;
use super::reference::{number, relative_error};

/// Relative tolerance of float32 trajectories (README of the goldens).
const TOLERANCE: f64 = 1e-5;

/// Runs both files, where they are.
pub fn run<B: Backend>(backend: &B, dir: &Path, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    if dir.join("optimizers.json").is_file() {
        trajectories(backend, &read_json(&dir.join("optimizers.json"))?, report)?;
    }
    let tensors = dir.join("optimizers2.safetensors");
    if tensors.is_file() {
        let file = read_json(&dir.join("optimizers2.json"))?;
        recorded(backend, &file, &SafetensorsFile::open(&tensors)?, report)?;
    }
    Ok(())
}

/// The optimizer that a run records, by the engine's names; none of one that is not here.
fn options(run: &Value) -> Result<Option<OptimizerOptions>> {
    let hyper = &run["hyper"];
    let or = |key: &str, value: Value| if hyper[key].is_null() { value } else { hyper[key].clone() };
    let (beta1, beta2, epsilon) = (or("beta1", json!(0.9)), or("beta2", json!(0.999)), or("eps", json!(1e-8)));
    let quantiser = run["quantiser"].as_str();
    let value = match run["optim"].as_str().unwrap_or_default() {
        "adamw" | "adamw_bnb" => json!({"type": "adamw", "beta1": beta1, "beta2": beta2, "epsilon": epsilon}),
        "adamw_8bit" if quantiser == Some("floor") => {
            json!({"type": "adamw8bit", "beta1": beta1, "beta2": beta2, "epsilon": epsilon})
        }
        "sgd" => json!({
            "type": "sgd", "momentum": hyper["momentum"], "dampening": or("dampening", json!(0.0)),
            "nesterov": or("nesterov", json!(false)),
        }),
        "lion_32bit" => json!({"type": "lion", "beta1": beta1, "beta2": beta2}),
        "lion_8bit" if quantiser == Some("nearest") => json!({"type": "lion8bit", "beta1": beta1, "beta2": beta2}),
        "schedule_free_adamw" => json!({
            "type": "schedulefree", "beta1": beta1, "beta2": beta2, "epsilon": epsilon, "r": 0.0, "weightLrPower": 2.0,
        }),
        "rmsprop" | "rmsprop_bnb_32bit" => json!({
            "type": "rmsprop", "alpha": hyper["alpha"], "epsilon": epsilon, "momentum": or("momentum", json!(0.0)),
            "centered": or("centered", json!(false)),
        }),
        "adagrad" | "adagrad_bnb" => {
            json!({"type": "adagrad", "epsilon": epsilon, "lrDecay": or("lr_decay", json!(0.0))})
        }
        "ademamix" => json!({
            "type": "ademamix", "beta1": beta1, "beta2": beta2, "beta3": hyper["beta3"], "alpha": hyper["alpha"],
            "epsilon": epsilon, "tAlpha": hyper["t_alpha"], "tBeta3": hyper["t_beta3"],
        }),
        "adafactor" => json!({
            "type": "adafactor", "decayRate": or("decay_rate", json!(-0.8)), "epsilon": or("eps", json!([1e-30, 1e-3])),
            "clipThreshold": or("clip_threshold", json!(1.0)), "beta1": hyper["beta1"],
            "scaleParameter": or("scale_parameter", json!(true)),
        }),
        "muon" => json!({
            "type": "muon", "momentum": or("momentum", json!(0.95)), "nesterov": or("nesterov", json!(true)),
            "nsCoefficients": or("ns_coefficients", json!([3.4445, -4.775, 2.0315])), "nsSteps": or("ns_steps", json!(5)),
            "nsEpsilon": or("eps", json!(1e-7)), "adjustLrFn": or("adjust_lr_fn", json!("original")),
            "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
        }),
        _ => return Ok(None),
    };
    let refused = |error: serde_json::Error| Error::new(Code::FileInvalid, "optimizers", error.to_string());
    serde_json::from_value(value).map(Some).map_err(refused)
}

/// One tensor in training, by the engine's own optimizer.
struct Training<B: Backend> {
    parameters: Parameters<B>,
    gradients: Gradients<B>,
    optimizer: Optimizer<B>,
    id: ParameterId,
    rate: f64,
    warmup: f64,
}

impl<B: Backend> Training<B> {
    fn new(backend: &B, run: &Value, options: OptimizerOptions, shape: Vec<usize>, start: &[f32]) -> Result<Self> {
        let mut parameters = Parameters::default();
        // A kind that decays: every tensor does in these runs.
        let kind = ParameterKind::Decay;
        let spec = ParameterSpec { name: "tensor".to_owned(), shape, kind, transposed: false, experts: 0, scale: None };
        let id = parameters.add(backend, spec, start)?;
        let gradients = Gradients::new(backend, &parameters)?;
        let decay = run["hyper"]["weight_decay"].as_f64().unwrap_or(0.0);
        let groups = ParameterGroup::of_each_kind(0.0, decay);
        let optimizer = Optimizer::new(backend, &parameters, options, &groups)?;
        let warmup = run["hyper"]["warmup_steps"].as_f64().unwrap_or(0.0);
        Ok(Self { parameters, gradients, optimizer, id, rate: number(&run["hyper"], "lr")?, warmup })
    }

    /// A step with this gradient, and the parameter after it.
    fn step(&mut self, backend: &B, gradient: &[f32]) -> Result<Vec<f32>> {
        backend.write(Host::F32(gradient), self.gradients.of(self.id))?;
        let number = self.optimizer.step as f64 + 1.0;
        let rate = if number < self.warmup { self.rate * number / self.warmup } else { self.rate };
        let rates = vec![rate; ParameterKind::ALL.len()];
        let update = Update { learning_rates: &rates, max_grad_norm: None, denominator: 1.0 };
        self.optimizer.update(backend, &mut self.parameters, &mut self.gradients, &update)?;
        self.parameters.read(backend, self.id)
    }
}

fn trajectories<B: Backend>(backend: &B, file: &Value, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    for (index, run) in entries(&file["runs"]).iter().enumerate() {
        // The matrix of a run may have another shape, of as many elements.
        let shape = if run["shape"].is_null() { &file["shape"] } else { &run["shape"] };
        let shape: Vec<usize> = list(shape)?.into_iter().map(|size| size as usize).collect();
        let id = format!("misc/optimizers/{index}-{}", run["optim"].as_str().unwrap_or_default());
        let Some(options) = options(run)? else {
            report(Outcome::unsupported(&id, "optimizer"));
            continue;
        };
        let mut worst = 0.0f64;
        for (tensor, start, shape) in [("W", &file["W0"], shape.clone()), ("b", &file["b0"], vec![shape[1]])] {
            let start = list(start)?;
            let mut training = Training::new(backend, run, options, shape, &start)?;
            for (gradient, expected) in entries(&file["grads"]).iter().zip(entries(&run["steps"])) {
                if expected[tensor].is_null() {
                    continue;
                }
                let got = training.step(backend, &list(&gradient[tensor])?)?;
                worst = worst.max(relative_error(&got, &list(&expected[tensor])?));
            }
        }
        report(Outcome::measured(&id, worst, TOLERANCE));
    }
    Ok(())
}

fn read(tensors: &SafetensorsFile, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
    let tensor = tensors.get(name)?;
    let mut values = Vec::new();
    tensor.to_f32(&mut values)?;
    Ok((tensor.shape.clone(), values))
}

/// The worst of a run: parameters, codes that differ, scales.
#[derive(Default)]
struct Errors {
    parameter: f64,
    absmax: f64,
    off: usize,
    codes: usize,
    far: bool,
}

fn recorded<B: Backend>(
    backend: &B,
    file: &Value,
    tensors: &SafetensorsFile,
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let tolerance = &file["tolerance"];
    for run in entries(&file["runs"]) {
        let id = format!("misc/optimizers2/{}", run["run"].as_str().unwrap_or_default());
        let Some(options) = options(run)? else {
            report(Outcome::unsupported(&id, "optimizer, or another quantiser"));
            continue;
        };
        let mut errors = Errors::default();
        for tensor in entries(&run["tensors"]).iter().filter_map(Value::as_str) {
            follow(backend, (file, run, options), tensors, tensor, &mut errors)?;
        }
        if run["quantiser"].is_null() {
            report(Outcome::measured(&id, errors.parameter, number(tolerance, "float32")?));
            continue;
        }
        let (limit, share) =
            (number(tolerance, "bits8_param_over_lr")?, errors.off as f64 / errors.codes.max(1) as f64);
        let codes = if errors.far { f64::INFINITY } else { share };
        report(Outcome::measured(&format!("{id}/parameters"), errors.parameter, limit));
        report(Outcome::measured(&format!("{id}/codes"), codes, number(tolerance, "bits8_codes_off_by_one_share")?));
        report(Outcome::measured(&format!("{id}/scales"), errors.absmax, number(tolerance, "bits8_absmax")?));
    }
    Ok(())
}

fn follow<B: Backend>(
    backend: &B,
    (file, run, options): (&Value, &Value, OptimizerOptions),
    tensors: &SafetensorsFile,
    tensor: &str,
    errors: &mut Errors,
) -> Result<()> {
    let (shape, start) = read(tensors, &format!("start.{tensor}"))?;
    let mut training = Training::new(backend, run, options, shape, &start)?;
    let name = run["run"].as_str().unwrap_or_default();
    for (place, gradient) in entries(&file["gradient_of_step"]).iter().enumerate() {
        let factor = number(gradient, "factor")? as f32;
        let (_, values) = read(tensors, &format!("grad.{}.{tensor}", gradient["grad"]))?;
        let scaled: Vec<f32> = values.iter().map(|value| value * factor).collect();
        let got = training.step(backend, &scaled)?;
        let key = format!("{name}.{}.{tensor}", place + 1);
        if !tensors.contains(&key) {
            continue;
        }
        let (_, expected) = read(tensors, &key)?;
        errors.parameter = errors.parameter.max(if run["quantiser"].is_null() {
            relative_error(&got, &expected)
        } else {
            let distance = |(a, b): (&f32, &f32)| f64::from((a - b).abs()) / training.rate;
            got.iter().zip(&expected).map(distance).fold(0.0, f64::max)
        });
        compare_states(backend, &training, tensors, &key, errors)?;
    }
    Ok(())
}

/// Codes and scales, where they were recorded.
fn compare_states<B: Backend>(
    backend: &B,
    training: &Training<B>,
    tensors: &SafetensorsFile,
    key: &str,
    errors: &mut Errors,
) -> Result<()> {
    let spec = &training.parameters.specs()[0];
    for (slot, buffer) in &training.optimizer.state.tensors()[0] {
        let recorded = format!("{key}.{}", slot.name.replace("state", "code"));
        if slot.shape == SlotShape::Parameter || !tensors.contains(&recorded) {
            continue;
        }
        let mut got = vec![0.0; slot.len_of(spec)];
        backend.read(View::new(buffer, 0, got.len()), &mut got)?;
        let (_, expected) = read(tensors, &recorded)?;
        if slot.shape == SlotShape::Blocks {
            errors.absmax = errors.absmax.max(relative_error(&got, &expected));
            continue;
        }
        errors.codes += got.len();
        for (got, expected) in got.iter().zip(&expected) {
            errors.off += usize::from(got.to_bits() != expected.to_bits());
            errors.far = errors.far || (got - expected).abs() > 1.0;
        }
    }
    Ok(())
}
