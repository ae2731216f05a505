//! Whole models on the CUDA backend's emulated device: the project's goldens in float32 and bfloat16, what a step costs, and
//! agreement with the CPU.

use std::path::PathBuf;
use std::sync::Arc;

use tunesmith_conformance::Inputs;
use tunesmith_conformance::goldens::{Outcome, Verdict, run};
use tunesmith_cpu::Cpu;
use tunesmith_cuda::{Cuda, EmulatedOptions};
use tunesmith_engine::{
    AdamWOptions, AdapterOptions, Batch, Engine, Objective, OptimizerOptions, ParameterGroup, Session, SessionOptions,
    StepKey, Update, WeightOptions,
};
use tunesmith_formats::{AdapterConfig, ModelFiles, ModuleNames, TokenIndices, TrainedBias};
use tunesmith_ops::{Backend, DType, Result};

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
    // Of the set's own cases, only optimizers that do not exist here are left out: every model runs here.
    let unsupported = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Unsupported);
    let models: Vec<&Outcome> = unsupported.filter(|outcome| !outcome.case.starts_with("misc/")).collect();
    assert!(models.is_empty(), "{models:#?}");
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

/// An adapter on every linear layer.
fn linear() -> AdapterConfig {
    AdapterConfig { r: 8, lora_alpha: 16.0, ..AdapterConfig::default() }
}

/// Every bias of the model, and one of B.
fn biases() -> AdapterConfig {
    AdapterConfig { bias: TrainedBias::All, lora_bias: true, lora_alpha: 5.0, ..linear() }
}

/// An adapter on the embedding and a layer above it.
fn embedding() -> AdapterConfig {
    let names = ["embed_tokens", "o_proj"].map(str::to_owned).to_vec();
    AdapterConfig { r: 3, target_modules: ModuleNames::Endings(names), ..linear() }
}

/// The same on an embedding and on the head that is tied to it.
fn tied(adapter: AdapterConfig) -> AdapterConfig {
    AdapterConfig { ensure_weight_tying: true, ..adapter }
}

/// Rows of tokens, two of which the seeded batches hold.
fn tokens() -> AdapterConfig {
    AdapterConfig { trainable_token_indices: Some(TokenIndices::Embedding((0..300).step_by(7).collect())), ..linear() }
}

/// Both matrices of every expert.
fn experts() -> AdapterConfig {
    let target_parameters = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"].map(str::to_owned).to_vec();
    AdapterConfig { r: 3, target_modules: ModuleNames::Endings(Vec::new()), target_parameters, ..linear() }
}

/// A session that trains a new adapter on a model of the goldens.
fn session<B: Backend>(
    backend: &Arc<B>,
    model: &str,
    adapter: AdapterConfig,
    gradient_checkpointing: bool,
    resid_pdrop: f64,
) -> Result<Session<B>> {
    let files = ModelFiles::open(&own_fixtures().join("models").join(model))?;
    let options = SessionOptions {
        weights: WeightOptions::default(),
        adapter: Some(AdapterOptions::Lora(adapter)),
        optimizer: Some(OptimizerOptions::AdamW(AdamWOptions::default())),
        parameter_groups: ParameterGroup::of_each_kind(1e-2, 0.01),
        gradient_checkpointing,
        seed: 3,
        neftune_noise_alpha: None,
        resize_token_embeddings: None,
        resid_pdrop,
    };
    Session::new(Arc::clone(backend), files.config.clone(), &*files.source, model, &options)
}

/// One optimizer step on seeded tokens; loss sum and norm.
fn step<B: Backend>(session: &mut Session<B>, number: u64) -> Result<(f64, f64)> {
    let starts = [0, 23, 24, 40];
    let ids = Inputs::new(number).integers(40, session.config().vocab);
    let positions: Vec<i32> = starts.windows(2).flat_map(|pair| 0..pair[1] - pair[0]).collect();
    let batch = Batch {
        input_ids: &ids,
        labels: &ids,
        positions: &positions,
        sequence_starts: &starts,
        weights: None,
        row_ids: Some(&[5, 0, 9]),
    };
    let sums = session.accumulate(&batch, &Objective::default(), StepKey { seed: 1, step: number })?;
    let tokens: u32 = sums.iter().map(|sum| sum.tokens).sum();
    let update = Update { learning_rates: &[1e-2; 4], max_grad_norm: Some(1.0), denominator: f64::from(tokens) };
    Ok((sums.iter().map(|sum| sum.loss).sum(), session.update(&update)?.grad_norm))
}

#[test]
fn cpu_and_cuda_agree_step_by_step() -> Result<()> {
    // What reaches the embedding has been rounded to bfloat16 in every layer on its way back, and AdamW's first updates of a
    // factor that starts at zero are as large for a gradient of rounding errors as for any other.
    let cases = [
        ("llama", linear(), false, 0.0, 4e-3),
        ("llama", linear(), true, 0.0, 4e-3),
        ("gemma2", embedding(), false, 0.0, 1e-2),
        ("qwen2", biases(), false, 0.0, 4e-3),
        ("llama", linear(), true, 0.2, 4e-3),
        ("granite", linear(), false, 0.2, 4e-3),
        ("gemma2", linear(), true, 0.2, 1e-2),
    ];
    agree(&cases, 5)
}

#[test]
fn cpu_and_cuda_agree_about_rows_of_tokens_experts_and_tied_factors() -> Result<()> {
    let cases = [
        ("qwen2", tokens(), true, 0.0, 4e-3),
        ("qwen3-moe", experts(), true, 0.0, 4e-3),
        ("qwen2", tied(embedding()), false, 0.0, 1e-2),
    ];
    agree(&cases, 2)
}

/// A model, its adapter, recomputation, residual dropout, and how far bfloat16 may be off.
type AgreementCase = (&'static str, AdapterConfig, bool, f64, f64);

/// Steps on the emulated device next to the same on the CPU.
fn agree(cases: &[AgreementCase], steps: u64) -> Result<()> {
    let cpu = Arc::new(Cpu::new(1)?);
    for (model, adapter, gradient_checkpointing, resid_pdrop, bfloat16) in cases {
        let (gradient_checkpointing, resid_pdrop) = (*gradient_checkpointing, *resid_pdrop);
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::Bf16, *bfloat16)] {
            let mut got = session(&device(dtype)?, model, adapter.clone(), gradient_checkpointing, resid_pdrop)?;
            let mut expected = session(&cpu, model, adapter.clone(), gradient_checkpointing, resid_pdrop)?;
            for number in 1..=steps {
                let ((loss, norm), (want_loss, want_norm)) = (step(&mut got, number)?, step(&mut expected, number)?);
                let (loss, norm) = ((loss / want_loss - 1.0).abs(), (norm / want_norm - 1.0).abs());
                println!("{dtype} step {number}: loss {loss:.1e}, norm {norm:.1e} of {tolerance:.0e}");
                assert!(loss < tolerance && norm < 3.0 * tolerance, "{dtype} step {number}: loss {loss}, norm {norm}");
            }
        }
    }
    Ok(())
}

/// Launches, waits and allocations of the second step, which is like every later one.
#[test]
fn a_step_costs_what_the_snapshot_says_and_allocates_nothing() -> Result<()> {
    let mut lines = Vec::new();
    for (model, gradient_checkpointing) in [("llama", false), ("llama", true), ("qwen3-moe", false)] {
        let cuda = device(DType::Bf16)?;
        let mut session = session(&cuda, model, linear(), gradient_checkpointing, 0.0)?;
        step(&mut session, 1)?;
        let counts = || [cuda.launches(), cuda.waits(), cuda.allocations()];
        let before = counts();
        step(&mut session, 2)?;
        let [launches, waits, allocations] = std::array::from_fn(|i| counts()[i] - before[i]);
        assert_eq!(allocations, 0, "a steady step asks the driver for no memory");
        let layers = session.config().layers;
        lines.push(format!(
            "{model}, {layers} layers, LoRA on all linear layers, recompute {gradient_checkpointing}: {launches} launches, {waits} waits\n"
        ));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/cuda-step.txt");
    let now = lines.concat();
    if std::env::var_os("TUNESMITH_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &now).expect("a snapshot to write");
    }
    let snapshot = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(now, snapshot, "TUNESMITH_UPDATE_SNAPSHOTS=1 writes {}", path.display());
    Ok(())
}
