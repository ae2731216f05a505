//! The memory plan of a CUDA session compared with what the backend really held on the emulated device, for every kind of session.

use std::path::PathBuf;
use std::sync::Arc;

use tunesmith_conformance::Inputs;
use tunesmith_cuda::{Cuda, EmulatedOptions};
use tunesmith_engine::plan::plan_on;
use tunesmith_engine::{
    AdamWOptions, AdapterOptions, Batch, Engine, Objective, OptimizerOptions, ParameterGroup, PassShape, Session,
    SessionOptions, StepKey, Update, WeightDtype, WeightOptions,
};
use tunesmith_formats::{AdapterConfig, InitLoraWeights, ModelFiles, TrainedBias};
use tunesmith_ops::{Code, DType, IGNORE_INDEX, Memory, Nf4Options, Result};

fn files(model: &str) -> Result<ModelFiles> {
    ModelFiles::open(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models").join(model))
}

fn lora(config: AdapterConfig) -> SessionOptions {
    let config = AdapterConfig { r: 8, lora_alpha: 16.0, ..config };
    SessionOptions {
        weights: WeightOptions::default(),
        adapter: Some(AdapterOptions::Lora(config)),
        optimizer: Some(OptimizerOptions::AdamW(AdamWOptions::default())),
        parameter_groups: ParameterGroup::of_each_kind(1e-2, 0.01),
        gradient_checkpointing: false,
        seed: 3,
        neftune_noise_alpha: None,
        resize_token_embeddings: None,
        resid_pdrop: 0.0,
    }
}

/// All ways to hold the weights and to train.
fn sessions() -> Vec<(&'static str, SessionOptions)> {
    let plain = || lora(AdapterConfig::default());
    let dora = || lora(AdapterConfig { use_dora: true, lora_dropout: 0.1, ..AdapterConfig::default() });
    let nf4 = |block_size, double_quant| WeightOptions::nf4(Nf4Options { block_size, double_quant });
    let everything = || SessionOptions { adapter: None, ..plain() };
    let saved = AdapterConfig { modules_to_save: vec!["lm_head".to_owned()], ..AdapterConfig::default() };
    let olora = AdapterConfig { init_lora_weights: InitLoraWeights::Olora, ..AdapterConfig::default() };
    let biased = AdapterConfig { bias: TrainedBias::All, lora_bias: true, ..AdapterConfig::default() };
    let bf16 = WeightOptions { dtype: WeightDtype::Bfloat16, ..WeightOptions::default() };
    vec![
        ("lora", plain()),
        ("lora, checkpointing", SessionOptions { gradient_checkpointing: true, ..plain() }),
        ("lora and a whole head", lora(saved)),
        ("qlora", SessionOptions { weights: nf4(64, true), ..plain() }),
        ("qlora of plain scales", SessionOptions { weights: nf4(128, false), ..plain() }),
        ("dora", dora()),
        (
            "dora over nf4, checkpointing",
            SessionOptions { weights: nf4(64, true), gradient_checkpointing: true, ..dora() },
        ),
        ("noise", SessionOptions { neftune_noise_alpha: Some(5.0), ..plain() }),
        ("residual dropout", SessionOptions { resid_pdrop: 0.2, ..plain() }),
        (
            "residual dropout of everything, checkpointing",
            SessionOptions { resid_pdrop: 0.2, gradient_checkpointing: true, ..everything() },
        ),
        ("olora on bf16", SessionOptions { weights: bf16, ..lora(olora) }),
        ("trained biases and those of B", lora(biased)),
        ("everything", everything()),
        ("evaluation", SessionOptions { optimizer: None, ..everything() }),
    ]
}

/// Takes two passes of rows of these lengths, of which every token but the first of each is supervised.
fn two_steps(session: &mut Session<Cuda>, lengths: &[usize]) -> Result<()> {
    let starts: Vec<i32> = std::iter::once(0)
        .chain(lengths.iter().scan(0, |end, length| {
            *end += *length as i32;
            Some(*end)
        }))
        .collect();
    let ids = Inputs::new(1).integers(lengths.iter().sum(), session.config().vocab);
    let positions: Vec<i32> = starts.windows(2).flat_map(|pair| 0..pair[1] - pair[0]).collect();
    let labels: Vec<i32> =
        ids.iter().zip(&positions).map(|(id, at)| if *at == 0 { IGNORE_INDEX } else { *id }).collect();
    let batch = Batch {
        input_ids: &ids,
        labels: &labels,
        positions: &positions,
        sequence_starts: &starts,
        weights: None,
        row_ids: Some(&vec![0; lengths.len()]),
    };
    for step in 1..=2 {
        if session.trains() {
            session.accumulate(&batch, &Objective::default(), StepKey { seed: 1, step })?;
            session.update(&Update { learning_rates: &[1e-3; 4], max_grad_norm: Some(1.0), denominator: 1.0 })?;
        } else {
            session.evaluate(&batch, &Objective::default())?;
        }
    }
    Ok(())
}

/// Plans on the accounts of a device and runs on it: peaks, and what stood before the first pass.
fn check(model: &str, device: &EmulatedOptions, dtype: DType, lengths: &[usize]) -> Result<()> {
    let files = files(model)?;
    for (name, options) in sessions() {
        let cuda = Arc::new(Cuda::emulated(device, dtype)?);
        let accounts = Arc::new(cuda.accounts()?);
        let tokens: usize = lengths.iter().sum();
        let shape = PassShape {
            tokens,
            longest: lengths[0],
            supervised: tokens - lengths.len(),
            two_phases: false,
            objective: Objective::default(),
        };
        let rounded = |bytes| accounts.rounded(bytes);
        let planned = plan_on(&accounts, rounded, &files.config, &*files.source, &options, shape)?;
        let mut session = Session::new(Arc::clone(&cuda), files.config.clone(), &*files.source, model, &options)?;
        let standing = session.memory().in_use;
        two_steps(&mut session, lengths)?;
        let place = format!("{model}, {name}, {dtype}, {lengths:?}: {planned:?}");
        assert_eq!(planned.peak, session.memory().peak, "{place}");
        assert_eq!(planned.peak - planned.activations, standing, "{place}");
        assert_eq!(planned.total_parameters, session.total_parameters(), "{place}");
        assert_eq!(accounts.memory_stats().in_use, 0, "{place}");
    }
    Ok(())
}

#[test]
fn the_plan_is_what_is_held_to_the_byte() -> Result<()> {
    for dtype in [DType::F32, DType::Bf16] {
        for lengths in [&[40][..], &[7, 7]] {
            check("llama", &EmulatedOptions::default(), dtype, lengths)?;
        }
    }
    check("gemma3", &EmulatedOptions::default(), DType::Bf16, &[16, 16])?;
    check("qwen3-moe", &EmulatedOptions::default(), DType::Bf16, &[7, 7])
}

/// As a card hands out memory, where blocks are larger than what is asked for and are used again.
#[test]
fn so_it_is_where_memory_comes_in_large_blocks() -> Result<()> {
    let device = EmulatedOptions { granularity: 512, ..EmulatedOptions::default() };
    check("llama", &device, DType::Bf16, &[40])?;
    check("qwen3-moe", &device, DType::Bf16, &[16, 16])?;
    check("qwen2", &EmulatedOptions { vendor: true, ..device }, DType::Bf16, &[16, 16])
}

#[test]
fn accounts_take_no_memory_of_the_device() -> Result<()> {
    let cuda = Cuda::emulated(&EmulatedOptions { memory: 1 << 20, ..EmulatedOptions::default() }, DType::Bf16)?;
    let (free, all) = cuda.memory_info()?;
    assert_eq!((free, all), (1 << 20, 1 << 20));
    let accounts = cuda.accounts()?;
    let held = accounts.zeros(DType::F32, 1 << 30)?;
    assert_eq!((accounts.memory_stats().in_use, cuda.memory_stats().in_use), (4 << 30, 0));
    assert_eq!(cuda.memory_info()?, (free, all));
    drop(held);
    assert_eq!(cuda.zeros(DType::F32, 1 << 30).map(drop).map_err(|error| error.code), Err(Code::OutOfMemory));
    Ok(())
}
