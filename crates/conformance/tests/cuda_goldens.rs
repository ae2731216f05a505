//! Whole models on the CUDA backend's emulated device: the project's goldens in binary32 and bfloat16, what a step costs, and
//! agreement with the CPU.

use std::path::PathBuf;
use std::sync::Arc;

use tunesmith_conformance::goldens::{Outcome, Verdict, run};
use tunesmith_cuda::{Cuda, EmulatedOptions};
use tunesmith_ops::{DType, Result};

fn device(dtype: DType) -> Result<Arc<Cuda>> {
    Cuda::emulated(&EmulatedOptions::default(), dtype).map(Arc::new)
}

fn own_fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures")
}

/// Every golden of the project's own set whose id contains `filter`.
fn check(dtype: DType, filter: &str) -> Result<()> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    run(&device(dtype)?, &own_fixtures(), filter, &mut |outcome| outcomes.push(outcome))?;
    for outcome in &outcomes {
        println!("{dtype} {}: {:.1e} of {:.1e}", outcome.case, outcome.error, outcome.tolerance);
    }
    let failed: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.verdict == Verdict::Failed)
        .map(|outcome| format!("{}: {} > {} {}", outcome.case, outcome.error, outcome.tolerance, outcome.note))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(outcomes.iter().any(|outcome| outcome.verdict == Verdict::Passed), "no case contains {filter}");
    Ok(())
}

#[test]
fn goldens_in_binary32() -> Result<()> {
    check(DType::F32, "")
}

#[test]
fn goldens_in_bfloat16() -> Result<()> {
    check(DType::Bf16, "")
}
