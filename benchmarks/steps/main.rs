//! Whole training steps of models with random weights, ours and other programs in one run:
//! `tunesmith-steps [SCENARIO …] [--peer NAME=COMMAND] …`, one JSON line a program and workload.

mod generator;
mod measure;
mod ours;
mod scenario;
mod side;
mod weights;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use tunesmith_conformance::device::{Choice, Job};
use tunesmith_ops::{Backend, DType};

use measure::{Patience, Tolerance};
use ours::{LEARNING_RATE, MAX_GRAD_NORM, Ours};
use scenario::{NAMES, SEED, Scenario};
use side::{Peer, Side};

const USAGE: &str = "[steps] usage: [SCENARIO …] [--peer NAME=COMMAND] … [--workload TEXT] [--steps N] [--seconds N] [--toy] [--backend NAME]";

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    scenarios: Vec<String>,
    peers: Vec<(String, String)>,
    workload: String,
    steps: usize,
    seconds: f64,
    toy: bool,
    choice: Choice,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| start(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments { steps: 8, seconds: 60.0, ..Arguments::default() };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            option if arguments.choice.take(option, &mut given)? => {}
            "--peer" => {
                let pair = given.next().ok_or(USAGE)?;
                let (name, command) = pair.split_once('=').ok_or(USAGE)?;
                arguments.peers.push((name.to_owned(), command.to_owned()));
            }
            "--workload" => arguments.workload = given.next().ok_or(USAGE)?,
            "--steps" => arguments.steps = given.next().and_then(|n| n.parse().ok()).ok_or(USAGE)?,
            "--seconds" => arguments.seconds = given.next().and_then(|n| n.parse().ok()).ok_or(USAGE)?,
            "--toy" => arguments.toy = true,
            name if NAMES.contains(&name) => arguments.scenarios.push(argument),
            _ => return Err(format!("{USAGE}; scenarios are {}; got {argument}", NAMES.join(", "))),
        }
    }
    if arguments.scenarios.is_empty() {
        arguments.scenarios = NAMES.map(str::to_owned).into();
    }
    Ok(arguments)
}

fn emit(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

impl Job for &Arguments {
    type Output = Result<bool, String>;

    fn run<B: Backend>(self, backend: Arc<B>) -> Self::Output {
        let mut whole = true;
        for name in &self.scenarios {
            let scenario = scenario::named(name, self.toy).ok_or(USAGE)?;
            whole &= compare(&backend, &scenario, self)?;
        }
        Ok(whole)
    }
}

fn start(arguments: &Arguments) -> Result<bool, String> {
    arguments.choice.run(arguments)?
}

/// All workloads of a scenario with every program that can take part.
fn compare<B: Backend>(backend: &Arc<B>, scenario: &Scenario, arguments: &Arguments) -> Result<bool, String> {
    let work = tempfile::tempdir().map_err(|error| error.to_string())?;
    let adapter = work.path().join("adapter");
    std::fs::create_dir(&adapter).map_err(|error| error.to_string())?;
    let spec = work.path().join("spec.json");
    let half = backend.activation_dtype() == DType::Bf16;
    let text = json!({
        "config": scenario.model.config, "nf4": scenario.model.nf4, "seed": SEED, "adapter": adapter,
        "dtype": if half { "bfloat16" } else { "float32" }, "learning_rate": LEARNING_RATE,
        "max_grad_norm": MAX_GRAD_NORM, "workloads": scenario.workloads, "nf4_scale": weights::NF4_SCALE,
        "deviation": weights::DEVIATION, "norm_deviation": weights::NORM_DEVIATION, "nf4_block": weights::NF4_BLOCK,
    });
    std::fs::write(&spec, text.to_string()).map_err(|error| error.to_string())?;
    let absent = |side: &str, error: String| {
        emit(
            &json!({ "part": "training", "scenario": scenario.model.name, "side": side, "toy": arguments.toy, "error": error }),
        );
    };
    let mut sides: Vec<Box<dyn Side + '_>> = Vec::new();
    match Ours::start(Arc::clone(backend), scenario, &adapter) {
        Ok(ours) => sides.push(Box::new(ours)),
        Err(error) => {
            // There is no adapter to start from.
            absent("tunesmith", error.to_string());
            return Ok(false);
        }
    }
    let started: Vec<_> =
        arguments.peers.iter().map(|(name, command)| (name, Peer::start(name, command, &spec))).collect();
    for (name, peer) in started {
        match peer.and_then(Peer::ready) {
            Ok(peer) => sides.push(Box::new(peer)),
            Err(error) => absent(name, error),
        }
    }
    let tolerance =
        if half { Tolerance { loss: 5e-3, grad_norm: 3e-2 } } else { Tolerance { loss: 1e-4, grad_norm: 1e-3 } };
    let patience = Patience { steps: arguments.steps, seconds: arguments.seconds };
    let mut whole = true;
    for (index, workload) in scenario.workloads.iter().enumerate() {
        if workload.name.contains(&arguments.workload) {
            whole &= measure::workload(scenario, index, &mut sides, tolerance, patience, &mut |mut line| {
                line["toy"] = json!(arguments.toy);
                emit(&line);
            });
        }
    }
    Ok(whole)
}
