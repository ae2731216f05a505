//! All suites of ops in one run.
//!
//! Two records of one backend with other numbers of threads must be equal in their digests, which
//! [`Record::differences`] lists.

use tunesmith_ops::{Backend, Result};

use crate::{
    Record, Stage, adamw, attention, cross_entropy, dora, dropout, elementwise, embedding, grad_norm, lora_matmul,
    matmul, nf4, rms_norm, rope, swiglu,
};

/// Runs every suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn run<B: Backend>(backend: &B, seed: u64) -> Result<Record> {
    run_on(Stage::new(backend), seed)
}

/// Runs every suite on a stage of one's own.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn run_on<B: Backend>(stage: Stage<'_, B>, seed: u64) -> Result<Record> {
    let mut record = Record::default();
    elementwise::suite(&stage, seed, &mut record)?;
    embedding::suite(&stage, seed, &mut record)?;
    rms_norm::suite(&stage, seed, &mut record)?;
    rope::suite(&stage, seed, &mut record)?;
    attention::suite(&stage, seed, &mut record)?;
    swiglu::suite(&stage, seed, &mut record)?;
    matmul::suite(&stage, seed, &mut record)?;
    lora_matmul::suite(&stage, seed, &mut record)?;
    nf4::suite(&stage, seed, &mut record)?;
    cross_entropy::suite(&stage, seed, &mut record)?;
    adamw::suite(&stage, seed, &mut record)?;
    dora::suite(&stage, seed, &mut record)?;
    dropout::suite(&stage, seed, &mut record)?;
    grad_norm::suite(&stage, seed, &mut record)?;
    Ok(record)
}
