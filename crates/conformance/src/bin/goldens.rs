//! `goldens [--filter TEXT] [--threads N] ROOT`: runs every model golden below ROOT, one JSON object a line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tunesmith_conformance::goldens::run;
use tunesmith_cpu::Cpu;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

fn start() -> Result<(), String> {
    let (mut root, mut filter, mut threads) = (None, String::new(), 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--filter" => filter = arguments.next().unwrap_or_default(),
            "--threads" => threads = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0),
            _ => root = Some(PathBuf::from(argument)),
        }
    }
    let root = root.ok_or("[goldens] expected a folder of goldens, got none; usage: goldens [--filter TEXT] ROOT")?;
    let backend = Arc::new(Cpu::new(threads).map_err(|error| error.to_string())?);
    let mut out = std::io::stdout().lock();
    run(&backend, &root, &filter, &mut |outcome| {
        let _ = writeln!(out, "{}", outcome.to_json());
    })
    .map_err(|error| error.to_string())
}
