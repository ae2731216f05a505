//! Every model golden of the project's own set, and of `TUNESMITH_FIXTURES` where that is given.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tunesmith_conformance::goldens::{Outcome, Verdict, run};
use tunesmith_cpu::Cpu;
use tunesmith_ops::Result;

fn outcomes(root: &Path) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    run(&Arc::new(Cpu::new(0)?), root, "", &mut |outcome| outcomes.push(outcome))?;
    Ok(outcomes)
}

fn check(root: &Path) -> Result<()> {
    let outcomes = outcomes(root)?;
    let count = |verdict| outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
    println!(
        "{}: {} passed, {} failed, {} unsupported",
        root.display(),
        count(Verdict::Passed),
        count(Verdict::Failed),
        count(Verdict::Unsupported)
    );
    let failed: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.verdict == Verdict::Failed)
        .map(|outcome| format!("{}: {} > {} {}", outcome.case, outcome.error, outcome.tolerance, outcome.note))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(count(Verdict::Passed) > 0, "no case was found below {}", root.display());
    Ok(())
}

#[test]
fn own_goldens() -> Result<()> {
    check(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures"))
}

#[test]
fn large_goldens() -> Result<()> {
    let Some(root) = std::env::var_os("TUNESMITH_FIXTURES") else {
        println!("skipped: TUNESMITH_FIXTURES is not set");
        return Ok(());
    };
    check(Path::new(&root))
}
