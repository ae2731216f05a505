//! All suites of ops in one run.
//!
//! Two records of one backend with other numbers of threads must be equal in their digests, which
//! [`Record::differences`] lists.

use tunesmith_ops::{Backend, Result};

use crate::{
    Record, Stage, adafactor, adamw, attention, blockwise_step, cross_entropy, dora, dropout, elementwise,
    elementwise_step, embedding, grad_norm, grouped_matmul, lora_matmul, matmul, muon, neftune, nf4, rms_norm, rope,
    router, sgd, swiglu,
};

/// A stem's suite.
pub type Suite<B> = fn(&Stage<'_, B>, u64, &mut Record) -> Result<()>;

/// Every stem with its suite.
pub fn stems<B: Backend>() -> Vec<(&'static str, Suite<B>)> {
    vec![
        ("elementwise", elementwise::suite),
        ("embedding", embedding::suite),
        ("rms_norm", rms_norm::suite),
        ("rope", rope::suite),
        ("attention", attention::suite),
        ("swiglu", swiglu::suite),
        ("matmul", matmul::suite),
        ("lora_matmul", lora_matmul::suite),
        ("nf4", nf4::suite),
        ("cross_entropy", cross_entropy::suite),
        ("dora", dora::suite),
        ("dropout", dropout::suite),
        ("neftune", neftune::suite),
        ("adamw", adamw::suite),
        ("muon", muon::suite),
        ("adafactor", adafactor::suite),
        ("blockwise_step", blockwise_step::suite),
        ("elementwise_step", elementwise_step::suite),
        ("sgd", sgd::suite),
        ("grad_norm", grad_norm::suite),
        ("router", router::suite),
        ("grouped_matmul", grouped_matmul::suite),
    ]
}

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
    for (_, suite) in stems() {
        suite(&stage, seed, &mut record)?;
    }
    Ok(record)
}
