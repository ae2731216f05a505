//! Times every op at the shapes of a real model: `cargo run --release -p tunesmith-kernels -- [STEM] [--tokens N] …`.

mod adamw;
mod attention;
mod bench;
mod cross_entropy;
mod dora;
mod dropout;
mod elementwise;
mod embedding;
mod grad_norm;
mod lora_matmul;
mod matmul;
mod nf4;
mod rms_norm;
mod rope;
mod swiglu;

use std::process::ExitCode;

use bench::{Bench, Model, Outcome};
use tunesmith_cpu::Cpu;

/// A stem and its benchmark.
type Entry = (&'static str, fn(&mut Bench<'_, Cpu>) -> tunesmith_ops::Result<()>);

const STEMS: &[Entry] = &[
    ("adamw", adamw::run),
    ("dora", dora::run),
    ("dropout", dropout::run),
    ("attention", attention::run),
    ("cross_entropy", cross_entropy::run),
    ("elementwise", elementwise::run),
    ("embedding", embedding::run),
    ("grad_norm", grad_norm::run),
    ("lora_matmul", lora_matmul::run),
    ("matmul", matmul::run),
    ("nf4", nf4::run),
    ("rms_norm", rms_norm::run),
    ("rope", rope::run),
    ("swiglu", swiglu::run),
];

const USAGE: &str =
    "[kernels] usage: [STEM] [--model NAME of benchmarks/shapes.json] [--tokens N] [--threads N] [--json]";

/// What the command line asks for.
struct Arguments {
    stem: Option<String>,
    model: String,
    tokens: usize,
    threads: usize,
    json: bool,
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
    let mut arguments =
        Arguments { stem: None, model: "smollm2-135m".to_owned(), tokens: 512, threads: 0, json: false };
    let number = |value: Option<String>| value.and_then(|text| text.parse().ok()).ok_or(USAGE);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--model" => arguments.model = given.next().ok_or(USAGE)?,
            "--tokens" => arguments.tokens = number(given.next())?,
            "--threads" => arguments.threads = number(given.next())?,
            "--json" => arguments.json = true,
            stem if STEMS.iter().any(|(name, _)| *name == stem) => arguments.stem = Some(argument),
            _ => return Err(format!("{USAGE}; got {argument}")),
        }
    }
    Ok(arguments)
}

fn start(arguments: &Arguments) -> Outcome<()> {
    let cpu = Cpu::new(arguments.threads).map_err(|error| error.to_string())?;
    let model = Model::named(&arguments.model)?;
    if !arguments.json {
        println!("{}, {} threads, {}, {} tokens", cpu.isa().name(), cpu.threads(), arguments.model, arguments.tokens);
    }
    let mut bench = Bench::new(&cpu, model, arguments.tokens, arguments.json);
    for &(name, run) in STEMS {
        if arguments.stem.as_deref().is_none_or(|stem| stem == name) {
            run(&mut bench).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
