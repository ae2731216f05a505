//! The memory plan and what the CPU backend really held, for every kind of session.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tunesmith_cpu::Cpu;
use tunesmith_engine::plan::{DeviceLayout, plan};
use tunesmith_engine::{
    Asked, Engine, MemoryPlan, Objective, PassShape, Session, SessionOptions, StepKey, TokenCoefficients, Update,
    WeightDtype, WeightOptions,
};
use tunesmith_formats::{
    AdapterConfig, InitLoraWeights, ModelConfig, ModelFiles, ModuleNames, TensorSource, TokenIndices,
};
use tunesmith_ops::{Code, MemoryStats, Nf4Options};

use super::common::{OPTIMIZER, Rows, adapter, config, lora, optimizers, options, wide, write_model};

/// Plans a session of the tiny model and runs it: what was planned, what stood before the first pass, what was held at most.
fn planned_and_held(options: &SessionOptions, lengths: &[usize]) -> (MemoryPlan, MemoryStats, MemoryStats) {
    let dir = tempfile::tempdir().unwrap();
    let source = write_model(dir.path(), None);
    let config = ModelConfig::from_json(Path::new("config.json"), config()).unwrap();
    planned_and_held_of(config, &source, options, (lengths, false, Objective::default()))
}

fn planned_and_held_of(
    config: ModelConfig,
    source: &dyn TensorSource,
    options: &SessionOptions,
    (lengths, two_phases, objective): (&[usize], bool, Objective),
) -> (MemoryPlan, MemoryStats, MemoryStats) {
    let rows = Rows::new(lengths, 1);
    let supervised = rows.labels.iter().filter(|&&label| label >= 0).count();
    let shape = PassShape { tokens: lengths.iter().sum(), longest: lengths[0], supervised, two_phases, objective };
    let planned = plan(DeviceLayout::CPU, &config, source, options, shape).unwrap();
    let cpu = Arc::new(Cpu::new(2).unwrap());
    let mut session = Session::new(cpu, config, source, "tiny", options).unwrap();
    let standing = session.memory();
    for step in 1..=2 {
        if options.optimizer.is_some() {
            let key = StepKey { seed: 1, step };
            if two_phases {
                let zeros = vec![0.0; rows.ids.len()];
                let all = Some(&zeros[..]);
                session.forward(&rows.batch(), key, Asked::DIFFERENTIABLE).unwrap();
                let [log_prob, entropy, log_sum_exp, mean_log_prob] = [all; 4];
                session.backward(&TokenCoefficients { log_prob, entropy, log_sum_exp, mean_log_prob }).unwrap();
            } else {
                session.accumulate(&rows.batch(), &objective, key).unwrap();
            }
            let update = Update { learning_rates: &[1e-3; 4], max_grad_norm: Some(1.0), denominator: 1.0 };
            session.update(&update).unwrap();
        } else {
            session.evaluate(&rows.batch(), &objective).unwrap();
        }
    }
    let held = session.memory();
    assert_eq!(planned.total_parameters, session.total_parameters());
    (planned, standing, held)
}

/// Rows of tokens, one of which the passes have and which lie apart.
fn tokens() -> AdapterConfig {
    let trainable_token_indices = Some(TokenIndices::Embedding(vec![0, 1, 9]));
    AdapterConfig { trainable_token_indices, ..AdapterConfig::default() }
}

/// All ways to hold the weights and to train.
fn sessions() -> Vec<(&'static str, SessionOptions)> {
    let nf4 = |block_size, double_quant| WeightOptions::nf4(Nf4Options { block_size, double_quant });
    let with = |weights: WeightOptions, gradient_checkpointing| SessionOptions {
        weights,
        gradient_checkpointing,
        ..options(lora(ModuleNames::AllLinear))
    };
    let bf16 = WeightOptions { dtype: WeightDtype::Bfloat16, ..WeightOptions::default() };
    let dora = |weights| {
        let config = AdapterConfig { use_dora: true, lora_dropout: 0.1, ..AdapterConfig::default() };
        SessionOptions { weights, ..options(adapter(config)) }
    };
    let (momentum, sgd) = (optimizers()[1], optimizers()[2]);
    let attention = ModuleNames::Endings(vec!["q_proj".to_owned(), "v_proj".to_owned()]);
    let mut sessions = vec![
        ("lora", options(lora(ModuleNames::AllLinear))),
        ("lora on attention", options(lora(attention))),
        ("lora on the embedding", options(lora(ModuleNames::Endings(vec!["embed_tokens".to_owned()])))),
        ("rows of tokens", options(adapter(tokens()))),
        (
            "rows of tokens, checkpointing",
            SessionOptions { gradient_checkpointing: true, ..options(adapter(tokens())) },
        ),
        ("lora, checkpointing", with(WeightOptions::default(), true)),
        ("lora on bf16", with(bf16, false)),
        ("qlora", with(nf4(64, true), false)),
        ("qlora of plain scales, checkpointing", with(nf4(128, false), true)),
        ("dora", dora(WeightOptions::default())),
        ("dora over nf4", dora(nf4(64, true))),
        ("dora over nf4 of plain scales", dora(nf4(64, false))),
        (
            "pissa",
            options(adapter(AdapterConfig { init_lora_weights: InitLoraWeights::Pissa, ..AdapterConfig::default() })),
        ),
        ("bias of B", options(adapter(AdapterConfig { lora_bias: true, ..AdapterConfig::default() }))),
        ("sgd", SessionOptions { optimizer: Some(momentum), ..options(lora(ModuleNames::AllLinear)) }),
        ("sgd without momentum", SessionOptions { optimizer: Some(sgd), ..options(None) }),
        ("noise", SessionOptions { neftune_noise_alpha: Some(5.0), ..options(lora(ModuleNames::AllLinear)) }),
        ("residual dropout", SessionOptions { resid_pdrop: 0.2, ..options(lora(ModuleNames::AllLinear)) }),
        (
            "residual dropout of everything, checkpointing",
            SessionOptions { resid_pdrop: 0.2, gradient_checkpointing: true, ..options(None) },
        ),
        ("everything", options(None)),
        ("everything, checkpointing", SessionOptions { gradient_checkpointing: true, ..options(None) }),
        ("evaluation", SessionOptions { optimizer: None, ..options(None) }),
    ];
    let with = |optimizer, adapter| SessionOptions { optimizer: Some(optimizer), ..options(adapter) };
    sessions.extend(optimizers().into_iter().skip(3).flat_map(|optimizer| {
        [
            ("lora under another optimizer", with(optimizer, lora(ModuleNames::AllLinear))),
            ("everything under another optimizer", with(optimizer, None)),
            ("a wide adapter under another optimizer", with(optimizer, wide())),
        ]
    }));
    sessions
}

#[test]
fn the_plan_is_what_is_held_to_the_byte() {
    for (name, options) in sessions() {
        for lengths in [&[1][..], &[32, 32, 32], &[200], &[7, 7]] {
            let (planned, standing, held) = planned_and_held(&options, lengths);
            assert_eq!(planned.peak, held.peak, "{name}, {lengths:?}: {planned:?}");
            assert_eq!(planned.peak - planned.activations, standing.in_use, "{name}, {lengths:?}: {planned:?}");
        }
    }
}

#[test]
fn the_plan_of_two_phases_is_what_they_hold_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let source = write_model(dir.path(), None);
    for (name, options) in sessions().into_iter().filter(|(_, options)| options.optimizer.is_some()) {
        for lengths in [&[32, 32, 32][..], &[200]] {
            let config = ModelConfig::from_json(Path::new("config.json"), config()).unwrap();
            let (planned, _, held) =
                planned_and_held_of(config, &source, &options, (lengths, true, Objective::default()));
            assert_eq!(planned.peak, held.peak, "{name}, {lengths:?}: {planned:?}");
        }
    }
}

#[test]
fn the_plan_of_an_objective_that_reads_more_is_what_it_holds_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let source = write_model(dir.path(), None);
    let planned = |options: &SessionOptions, objective| {
        let config = ModelConfig::from_json(Path::new("config.json"), config()).unwrap();
        let (planned, _, held) = planned_and_held_of(config, &source, options, (&[200], false, objective));
        assert_eq!(planned.peak, held.peak, "{objective:?}: {planned:?}");
        planned.peak
    };
    let evaluated = SessionOptions { optimizer: None, ..options(None) };
    for options in [options(lora(ModuleNames::AllLinear)), evaluated] {
        let plain = planned(&options, Objective::default());
        assert_eq!(planned(&options, Objective::Dft {}), plain);
        for objective in [
            Objective::Nll { label_smoothing: 0.1, z_loss: 0.0 },
            Objective::Nll { label_smoothing: 0.0, z_loss: 1e-4 },
        ] {
            assert!(planned(&options, objective) > plain, "{objective:?}");
        }
    }
}

#[test]
fn the_plan_of_a_mixture_is_what_is_held_to_the_byte() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models/qwen3-moe");
    let everything = options(None);
    for (name, options) in [
        ("lora", options(lora(ModuleNames::AllLinear))),
        (
            "lora, checkpointing",
            SessionOptions { gradient_checkpointing: true, ..options(lora(ModuleNames::AllLinear)) },
        ),
        ("everything", everything.clone()),
        ("evaluation", SessionOptions { optimizer: None, ..everything }),
    ] {
        for lengths in [&[1][..], &[32, 32], &[7, 7]] {
            let files = ModelFiles::open(&folder).unwrap();
            let (planned, standing, held) =
                planned_and_held_of(files.config, &*files.source, &options, (lengths, false, Objective::default()));
            assert_eq!(planned.peak, held.peak, "{name}, {lengths:?}: {planned:?}");
            assert_eq!(planned.peak - planned.activations, standing.in_use, "{name}, {lengths:?}: {planned:?}");
        }
    }
}

#[test]
fn the_parts_are_those_of_the_session() {
    let (planned, ..) = planned_and_held(&options(lora(ModuleNames::AllLinear)), &[32]);
    assert_eq!((planned.gradients, planned.optimizer), (planned.trained, 2 * planned.trained));
    assert!(planned.weights > 4 * planned.total_parameters && planned.trainable_parameters > 0);
    let everything = planned_and_held(&options(None), &[32]).0;
    assert_eq!(everything.trainable_parameters, everything.total_parameters);
    assert!(everything.weights < 1024, "only the rotation's frequencies are frozen: {everything:?}");
    let checkpointing = SessionOptions { gradient_checkpointing: true, ..options(lora(ModuleNames::AllLinear)) };
    assert!(planned_and_held(&checkpointing, &[32]).0.activations < planned.activations);
    let none = SessionOptions { optimizer: None, ..options(None) };
    let (evaluation, ..) = planned_and_held(&none, &[32]);
    assert_eq!((evaluation.trained, evaluation.gradients, evaluation.trainable_parameters), (0, 0, 0));
    assert_eq!(OPTIMIZER, options(None).optimizer.unwrap());
}

#[test]
fn tokens_without_a_label_hold_nothing_behind_the_last_attention() {
    let dir = tempfile::tempdir().unwrap();
    let source = write_model(dir.path(), None);
    let config = ModelConfig::from_json(Path::new("config.json"), config()).unwrap();
    let activations = |supervised| {
        let shape =
            PassShape { tokens: 65, longest: 65, supervised, two_phases: false, objective: Objective::default() };
        plan(DeviceLayout::CPU, &config, &source, &options(lora(ModuleNames::AllLinear)), shape).unwrap().activations
    };
    // Of each token: gate and up, logits, and the stream before and after the block and the final norm.
    let (d, f, v) = (24, 40, 40);
    assert!(activations(64) - activations(16) >= 48 * 4 * (2 * f + v + 4 * d));
}

#[test]
fn impossible_shapes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = write_model(dir.path(), None);
    let config = ModelConfig::from_json(Path::new("config.json"), config()).unwrap();
    for (tokens, longest, supervised) in [(0, 0, 0), (8, 0, 8), (8, 9, 8), (8, 8, 9)] {
        let shape = PassShape { tokens, longest, supervised, two_phases: false, objective: Objective::default() };
        let error = plan(DeviceLayout::CPU, &config, &source, &options(None), shape).unwrap_err();
        assert_eq!(error.code, Code::ArgumentInvalid);
    }
}
