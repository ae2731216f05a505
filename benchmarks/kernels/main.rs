//! Times every op at the shapes of a real model: `cargo run --release -p tunesmith-kernels -- [STEM] [--tokens N] …`.

mod adafactor;
mod adamw;
mod attention;
mod bench;
mod blockwise_step;
mod cross_entropy;
mod dora;
mod dropout;
mod elementwise;
mod elementwise_step;
mod embedding;
mod grad_norm;
mod grouped_matmul;
mod lora_matmul;
mod matmul;
mod muon;
mod neftune;
mod nf4;
mod rms_norm;
mod rope;
mod router;
mod sgd;
mod swiglu;

use std::process::ExitCode;
use std::sync::Arc;

use bench::{Bench, Model, Outcome, Output, Settings, streams};
use tunesmith_conformance::device::{Choice, Job};
use tunesmith_ops::Backend;

/// A stem and its benchmark.
type Entry<B> = (&'static str, fn(&mut Bench<'_, B>) -> tunesmith_ops::Result<()>);

fn stems<B: Backend>() -> Vec<Entry<B>> {
    vec![
        ("adamw", adamw::run),
        ("muon", muon::run),
        ("adafactor", adafactor::run),
        ("blockwise_step", blockwise_step::run),
        ("elementwise_step", elementwise_step::run),
        ("sgd", sgd::run),
        ("attention", attention::run),
        ("cross_entropy", cross_entropy::run),
        ("dora", dora::run),
        ("dropout", dropout::run),
        ("neftune", neftune::run),
        ("elementwise", elementwise::run),
        ("embedding", embedding::run),
        ("grad_norm", grad_norm::run),
        ("grouped_matmul", grouped_matmul::run),
        ("lora_matmul", lora_matmul::run),
        ("matmul", matmul::run),
        ("nf4", nf4::run),
        ("rms_norm", rms_norm::run),
        ("rope", rope::run),
        ("router", router::run),
        ("swiglu", swiglu::run),
    ]
}

const USAGE: &str = "[kernels] usage: [STEM …] [--case TEXT] … [--model NAME of benchmarks/shapes.json] [--tokens N] [--whole] \
     [--backend NAME] [--threads N] [--patience MILLISECONDS] [--json | --interleaved]";

/// What the machine gives the streams of an optimizer.
const STREAMS: &str = "streams";

/// What the command line asks for.
struct Arguments {
    stems: Vec<String>,
    model: String,
    choice: Choice,
    settings: Settings,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| start(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Outcome<Arguments> {
    let mut given = std::env::args().skip(1);
    let settings =
        Settings { tokens: 512, patience: 200, output: Output::Text, whole: false, threads: 0, cases: Vec::new() };
    let mut arguments =
        Arguments { stems: Vec::new(), model: "smollm2-135m".to_owned(), choice: Choice::default(), settings };
    let known: Vec<&str> = stems::<tunesmith_cpu::Cpu>().into_iter().map(|(stem, _)| stem).collect();
    let number = |value: Option<String>| value.and_then(|text| text.parse().ok()).ok_or(USAGE);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            option if arguments.choice.take(option, &mut given)? => {}
            "--model" => arguments.model = given.next().ok_or(USAGE)?,
            "--case" => arguments.settings.cases.push(given.next().ok_or(USAGE)?),
            "--tokens" => arguments.settings.tokens = number(given.next())?,
            "--patience" => arguments.settings.patience = number(given.next())? as u128,
            "--whole" => arguments.settings.whole = true,
            "--json" => arguments.settings.output = Output::Json,
            "--interleaved" => arguments.settings.output = Output::Interleaved,
            stem if known.contains(&stem) || stem == STREAMS => arguments.stems.push(argument),
            _ => return Err(format!("{USAGE}; got {argument}")),
        }
    }
    arguments.settings.threads = match arguments.choice.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    Ok(arguments)
}

impl Job for &Arguments {
    type Output = Outcome<()>;

    fn run<B: Backend>(self, backend: Arc<B>) -> Outcome<()> {
        let model = Model::named(&self.model)?;
        if self.settings.output == Output::Text {
            println!("{}, {}, {} tokens", backend.name(), self.model, self.settings.tokens);
        }
        let mut bench = Bench::new(&*backend, model, self.settings.clone());
        // Of the machine, not of an op: only where it is asked for.
        if self.stems.iter().any(|stem| stem == STREAMS) {
            streams::run(&mut bench).map_err(|error| error.to_string())?;
        }
        for (name, run) in stems() {
            if self.stems.is_empty() || self.stems.iter().any(|stem| stem == name) {
                run(&mut bench).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

fn start(arguments: &Arguments) -> Outcome<()> {
    arguments.choice.run(arguments)?
}
