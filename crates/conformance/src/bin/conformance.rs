//! `conformance [STEM …] [--backend NAME] [--seed N]`: the suites of all stems, or of some, one JSON object a stem and one for
//! each case that fails. Ends with 1 when one did. `--probe` says what the backend is and runs none.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tunesmith_conformance::device::{Choice, Job, USAGE};
use tunesmith_conformance::suites::stems;
use tunesmith_conformance::{Record, Stage};
use tunesmith_ops::Backend;

fn main() -> ExitCode {
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

/// The suites to run.
struct Suites {
    wanted: Vec<String>,
    seed: u64,
}

fn tell(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

impl Job for Suites {
    type Output = bool;

    fn run<B: Backend>(self, backend: Arc<B>) -> bool {
        let stage = Stage::new(&*backend);
        let mut whole = true;
        for (stem, suite) in stems() {
            if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| wanted == stem) {
                continue;
            }
            let (begun, mut record) = (Instant::now(), Record::default());
            let outcome = suite(&stage, self.seed, &mut record);
            let failed: Vec<_> = record.cases.iter().filter(|case| !case.passed()).collect();
            for case in &failed {
                tell(&json!({
                    "part": "conformance", "stem": stem, "backend": backend.name(), "case": case.name,
                    "error": case.error, "tolerance": case.tolerance,
                }));
            }
            // How near the worst case came to what is allowed.
            let shares = record.cases.iter().filter(|case| case.tolerance > 0.0);
            let nearest = shares.map(|case| case.error / case.tolerance).fold(0.0, f64::max);
            tell(&json!({
                "part": "conformance", "stem": stem, "backend": backend.name(),
                "dtype": backend.activation_dtype().name(), "cases": record.cases.len(), "failed": failed.len(),
                "share_of_tolerance": nearest, "seconds": begun.elapsed().as_secs_f64(),
                "stopped": outcome.as_ref().err().map(ToString::to_string),
            }));
            whole &= failed.is_empty() && outcome.is_ok();
        }
        whole
    }
}

fn start() -> Result<bool, String> {
    let (mut probe, mut suites, mut choice) = (false, Suites { wanted: Vec::new(), seed: 7 }, Choice::default());
    let known: Vec<&str> = stems::<tunesmith_cpu::Cpu>().into_iter().map(|(stem, _)| stem).collect();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            option if choice.take(option, &mut arguments)? => {}
            "--probe" => probe = true,
            "--seed" => {
                let seed = arguments.next().and_then(|text| text.parse().ok());
                suites.seed = seed.ok_or_else(|| format!("[conformance] expected a number after --seed; {USAGE}"))?;
            }
            stem if known.contains(&stem) => suites.wanted.push(argument),
            other => {
                let expected = known.join(", ");
                return Err(format!(
                    "[conformance] expected {USAGE} [--seed N] [--probe] or stems of {expected}, got {other}"
                ));
            }
        }
    }
    if probe {
        let mut facts = choice.probe()?;
        facts["part"] = json!("probe");
        tell(&facts);
        return Ok(true);
    }
    choice.run(suites)
}
