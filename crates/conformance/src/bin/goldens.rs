//! `goldens [--backend NAME] [--filter TEXT] ROOT`: runs every model golden below ROOT, one JSON object a line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tunesmith_conformance::device::{Choice, Job, USAGE};
use tunesmith_conformance::goldens::run;
use tunesmith_ops::Backend;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

/// The cases to run.
struct Goldens {
    root: PathBuf,
    filter: String,
}

impl Job for Goldens {
    type Output = Result<(), String>;

    fn run<B: Backend>(self, backend: Arc<B>) -> Self::Output {
        let mut out = std::io::stdout().lock();
        run(&backend, &self.root, &self.filter, &mut |outcome| {
            let _ = writeln!(out, "{}", outcome.to_json());
        })
        .map_err(|error| error.to_string())
    }
}

fn start() -> Result<(), String> {
    let (mut root, mut filter, mut choice) = (None, String::new(), Choice::default());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            option if choice.take(option, &mut arguments)? => {}
            "--filter" => filter = arguments.next().unwrap_or_default(),
            _ => root = Some(PathBuf::from(argument)),
        }
    }
    let missing = || format!("[goldens] expected a folder of goldens, got none; usage: [--filter TEXT] {USAGE} ROOT");
    let root = root.ok_or_else(missing)?;
    choice.run(Goldens { root, filter })?
}
