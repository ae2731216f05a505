//! What holds for any adapter: dropout that knows no batches, gradients of everything trained, switching without a trace.

// A helper that fails fails its test.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tunesmith_cpu::Cpu;
use tunesmith_engine::adapter::DEFAULT_ADAPTER;
use tunesmith_engine::{AdapterOptions, Engine, Objective, Session, SessionOptions, StepKey, Update};
use tunesmith_formats::{AdapterConfig, F32Tensor, ModuleNames, SafetensorsFile, TensorSource, write_safetensors};
use tunesmith_ops::Code;

use super::common::{Rows, adapter, options, session};

const KEY: StepKey = StepKey { seed: 3, step: 1 };

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// Dropout on every linear layer, the head included.
fn dropping() -> AdapterConfig {
    AdapterConfig {
        lora_dropout: 0.3,
        target_modules: ModuleNames::Endings(names(&["q_proj", "o_proj", "up_proj", "down_proj", "lm_head"])),
        ..AdapterConfig::default()
    }
}

/// Factors of another rank and scale on the embedding, and others on the head that is tied to it.
fn embedding() -> AdapterConfig {
    AdapterConfig {
        lora_dropout: 0.3,
        use_rslora: true,
        target_modules: ModuleNames::Endings(names(&["embed_tokens", "o_proj", "lm_head"])),
        rank_pattern: vec![("embed_tokens".to_owned(), 3)],
        alpha_pattern: vec![("embed_tokens".to_owned(), 2.0)],
        ..AdapterConfig::default()
    }
}

/// Fully trained modules of every kind with the factors.
fn saving() -> AdapterConfig {
    AdapterConfig {
        target_modules: ModuleNames::Endings(names(&["q_proj", "o_proj", "up_proj"])),
        modules_to_save: names(&["norm", "embed_tokens", "lm_head", "layers.1.mlp.down_proj"]),
        ..AdapterConfig::default()
    }
}

fn dora(config: AdapterConfig) -> AdapterConfig {
    AdapterConfig { use_dora: true, ..config }
}

fn step(model: &mut Session<Cpu>, rows: &Rows, key: StepKey) -> f64 {
    let loss = model.accumulate(&rows.batch(), &Objective::default(), key).unwrap().iter().map(|sum| sum.loss).sum();
    let update = Update { learning_rates: &[1e-2; 4], max_grad_norm: Some(1.0), denominator: 20.0 };
    assert!(model.update(&update).unwrap().applied);
    loss
}

/// A session whose adapter has moved away from its first values.
fn trained(config: AdapterConfig) -> Session<Cpu> {
    let mut model = session(1, &options(adapter(config))).unwrap();
    for number in 1..4 {
        step(&mut model, &Rows::new(&[20, 11], 6), StepKey { step: number, ..KEY });
    }
    model
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_row_has_one_mask_whatever_it_is_packed_with() {
    let rows = Rows::new(&[12, 5, 30], 2);
    for config in [dropping(), dora(dropping()), embedding()] {
        let mut model = trained(config);
        let packed = model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
        let together = model.gradients().unwrap();
        model.clear_gradients().unwrap();
        for (row, expected) in packed.iter().enumerate() {
            let alone = model.accumulate(&rows.row(row).batch(), &Objective::default(), KEY).unwrap();
            assert_eq!(alone[0], *expected, "row {row}");
        }
        for ((name, a), (_, b)) in together.iter().zip(model.gradients().unwrap()) {
            let largest = a.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let error = a.iter().zip(&b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(error <= 3e-6 * largest, "{name}: {error} of {largest}");
        }
        let other = |key| model.accumulate(&rows.batch(), &Objective::default(), key).unwrap();
        let mut other = other;
        let losses =
            [KEY, StepKey { step: 2, ..KEY }, StepKey { seed: 4, ..KEY }].map(|key| other(key)[0].loss.to_bits());
        assert_eq!(losses[0], packed[0].loss.to_bits());
        assert!(losses[0] != losses[1] && losses[0] != losses[2], "step and seed choose the mask");
        let mut moved = Rows::new(&[12, 5, 30], 2);
        moved.row_ids[0] += 1;
        assert_ne!(
            other(KEY)[0].loss,
            model.accumulate(&moved.batch(), &Objective::default(), KEY).unwrap()[0].loss,
            "and so does the row"
        );
        assert_ne!(
            packed[0].loss,
            model.evaluate(&rows.batch(), &Objective::default()).unwrap()[0].loss,
            "evaluation drops nothing"
        );
    }
}

#[test]
fn dropout_needs_to_know_the_rows() {
    let rows = Rows::new(&[9], 1);
    let mut model = session(1, &options(adapter(dropping()))).unwrap();
    let error = model
        .accumulate(&tunesmith_engine::Batch { row_ids: None, ..rows.batch() }, &Objective::default(), KEY)
        .unwrap_err();
    assert!(error.code == Code::ArgumentInvalid && error.place.ends_with("rowIds"), "{error}");
}

#[test]
fn recomputation_and_threads_change_no_bit_of_any_adapter() {
    let rows = Rows::new(&[25, 40], 3);
    let biased = AdapterConfig { lora_bias: true, ..dropping() };
    for config in [dropping(), dora(dropping()), embedding(), saving(), biased] {
        let run = |threads: usize, gradient_checkpointing: bool| {
            let options = SessionOptions { gradient_checkpointing, ..options(adapter(config.clone())) };
            let mut model = session(threads, &options).unwrap();
            for number in 1..4 {
                step(&mut model, &rows, StepKey { step: number, ..KEY });
            }
            model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
            model.gradients().unwrap().iter().map(|(name, values)| (name.clone(), bits(values))).collect::<Vec<_>>()
        };
        let expected = run(1, false);
        for (threads, checkpointing) in [(1, true), (2, false), (4, true)] {
            assert!(run(threads, checkpointing) == expected, "{threads} threads, checkpointing {checkpointing}");
        }
    }
}

#[test]
fn a_checkpoint_continues_dropout_to_the_bit() {
    let rows = Rows::new(&[20, 11], 6);
    for config in [dropping(), dora(dropping()), embedding(), saving()] {
        let dir = tempfile::tempdir().unwrap();
        let mut straight = trained(config.clone());
        straight.save_checkpoint(dir.path()).unwrap();
        let mut resumed = session(2, &options(adapter(config))).unwrap();
        resumed.load_checkpoint(dir.path()).unwrap();
        for number in 4..7 {
            let key = StepKey { step: number, ..KEY };
            assert_eq!(step(&mut straight, &rows, key).to_bits(), step(&mut resumed, &rows, key).to_bits());
        }
        let written = |model: &mut Session<Cpu>| {
            let dir = tempfile::tempdir().unwrap();
            model.save_adapter(dir.path()).unwrap();
            std::fs::read(dir.path().join("adapter_model.safetensors")).unwrap()
        };
        assert!(written(&mut straight) == written(&mut resumed));
    }
}

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn tensors(path: &Path) -> Tensors {
    let file = SafetensorsFile::open(path).unwrap();
    let read = |name: String| {
        let tensor = file.get(&name).unwrap();
        let mut data = Vec::new();
        tensor.to_f32(&mut data).unwrap();
        (name, tensor.shape, data)
    };
    file.names().into_iter().map(read).collect()
}

/// The slope of the loss along the gradient of the tensors that `chosen` picks, over the squared norm of that gradient.
fn slope(model: &mut Session<Cpu>, rows: &Rows, chosen: impl Fn(&str) -> bool) -> f64 {
    model.clear_gradients().unwrap();
    model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
    let gradients = model.gradients().unwrap();
    let picked = gradients.iter().filter(|(name, _)| chosen(name));
    let squared: f64 = picked.flat_map(|(_, g)| g).map(|g| f64::from(*g).powi(2)).sum();
    assert!(squared > 1e-6, "there is a gradient");
    let distance = 2e-3 / squared.sqrt();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapter_model.safetensors");
    model.save_checkpoint(dir.path()).unwrap();
    let start = tensors(&path);
    let moved = [1.0, -1.0].map(|sign| {
        let mut moved = start.clone();
        for (name, _, data) in moved.iter_mut().filter(|(name, ..)| chosen(name)) {
            let (_, gradient) = gradients.iter().find(|(of, _)| of == name).unwrap();
            for (value, g) in data.iter_mut().zip(gradient) {
                *value = (f64::from(*value) + sign * distance * f64::from(*g)) as f32;
            }
        }
        let views: Vec<F32Tensor<'_>> = moved
            .iter()
            .map(|(name, shape, data)| F32Tensor { name: name.clone(), shape: shape.clone(), data })
            .collect();
        write_safetensors(&path, &views).unwrap();
        model.load_checkpoint(dir.path()).unwrap();
        model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap().iter().map(|sum| sum.loss).sum::<f64>()
    });
    (moved[0] - moved[1]) / (2.0 * distance) / squared
}

#[test]
fn gradients_agree_with_finite_differences() {
    let rows = Rows::new(&[9, 6], 4);
    let all = |_: &str| true;
    let biased = AdapterConfig { lora_bias: true, ..dropping() };
    let cases =
        [("dropout", dropping()), ("embedding", embedding()), ("whole modules", saving()), ("bias of B", biased)];
    for (name, config) in cases {
        let ratio = slope(&mut trained(config), &rows, all);
        assert!((ratio - 1.0).abs() < 3e-3, "{name}: {ratio}");
    }
    // The norms of a DoRA are constants in backward, so only what they do not depend on can be measured: magnitudes, whose
    // gradients come down through every layer above, and whole modules.
    for (name, config) in [("dora", dora(saving())), ("dora with dropout", dora(dropping()))] {
        let ratio = slope(&mut trained(config), &rows, |name| !name.contains(".lora_A") && !name.contains(".lora_B"));
        assert!((ratio - 1.0).abs() < 3e-3, "{name}: {ratio}");
    }
}

/// A mask that keeps everything takes the other way through the layers and must come to the same.
#[test]
fn dropout_of_nothing_is_no_dropout() {
    let rows = Rows::new(&[12, 5], 2);
    for config in [dropping(), dora(dropping())] {
        let gradients = |lora_dropout: f64| {
            let dir = tempfile::tempdir().unwrap();
            trained(AdapterConfig { lora_dropout: 0.0, ..config.clone() }).save_checkpoint(dir.path()).unwrap();
            let config = AdapterConfig { lora_dropout, ..config.clone() };
            let mut model = session(1, &options(adapter(config))).unwrap();
            model.load_checkpoint(dir.path()).unwrap();
            model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
            model.gradients().unwrap()
        };
        for ((name, a), (_, b)) in gradients(0.0).iter().zip(gradients(1e-12)) {
            let largest = a.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let error = a.iter().zip(&b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(error <= 2e-5 * largest, "{name}: {error} of {largest}");
        }
    }
}

#[test]
fn switching_leaves_no_trace() {
    let rows = Rows::new(&[21, 8], 8);
    let inference = |adapter| SessionOptions { optimizer: None, ..options(adapter) };
    let base = bits(&session(1, &inference(None)).unwrap().logits(&rows.batch()).unwrap());
    let dirs = [dora(saving()), embedding()].map(|config| {
        let dir = tempfile::tempdir().unwrap();
        trained(config).save_adapter(dir.path()).unwrap();
        dir
    });
    let alone = dirs.each_ref().map(|dir| {
        let mut model = session(1, &inference(Some(AdapterOptions::Saved { path: dir.path().to_owned() }))).unwrap();
        bits(&model.logits(&rows.batch()).unwrap())
    });
    assert!(alone[0] != base && alone[1] != base && alone[0] != alone[1]);
    let mut model = trained(lora_config());
    let own = bits(&model.logits(&rows.batch()).unwrap());
    model.load_adapter(dirs[0].path(), "first").unwrap();
    model.load_adapter(dirs[1].path(), "second").unwrap();
    assert_eq!(model.adapters().active.as_deref(), Some(DEFAULT_ADAPTER), "loading activates nothing");
    let mut now = |change: &mut dyn FnMut(&mut Session<Cpu>)| {
        change(&mut model);
        bits(&model.logits(&rows.batch()).unwrap())
    };
    for _ in 0..2 {
        assert!(now(&mut |model| model.disable_adapter().unwrap()) == base, "off is the base model");
        assert!(now(&mut |model| model.set_adapter("first").unwrap()) == alone[0]);
        assert!(now(&mut |model| model.set_adapter("second").unwrap()) == alone[1]);
        assert!(now(&mut |model| model.disable_adapter().unwrap()) == base);
        assert!(now(&mut |model| model.enable_adapter().unwrap()) == alone[1], "the one that was set last");
        assert!(now(&mut |model| model.set_adapter(DEFAULT_ADAPTER).unwrap()) == own);
    }
    assert!(now(&mut |model| model.delete_adapter("first").unwrap()) == own);
    assert!(now(&mut |model| model.set_adapter("second").unwrap()) == alone[1]);
    assert!(
        now(&mut |model| model.delete_adapter("second").unwrap()) == base,
        "deleting the active one switches it off"
    );
    assert_eq!(model.adapters().names, [DEFAULT_ADAPTER]);
}

fn lora_config() -> AdapterConfig {
    AdapterConfig { target_modules: ModuleNames::AllLinear, ..AdapterConfig::default() }
}

#[test]
fn a_look_at_other_adapters_changes_no_training() {
    let rows = Rows::new(&[20, 11], 6);
    let dir = tempfile::tempdir().unwrap();
    trained(saving()).save_adapter(dir.path()).unwrap();
    let (mut straight, mut looking) = (trained(lora_config()), trained(lora_config()));
    looking.load_adapter(dir.path(), "other").unwrap();
    for number in 4..7 {
        let key = StepKey { step: number, ..KEY };
        looking.set_adapter("other").unwrap();
        looking.evaluate(&rows.batch(), &Objective::default()).unwrap();
        let refused = looking.accumulate(&rows.batch(), &Objective::default(), key).unwrap_err();
        assert!(refused.message.contains("other") && refused.message.contains("setAdapter"), "{refused}");
        let checkpoint = tempfile::tempdir().unwrap();
        looking.save_checkpoint(checkpoint.path()).unwrap();
        looking.load_checkpoint(checkpoint.path()).unwrap();
        looking.set_adapter(DEFAULT_ADAPTER).unwrap();
        assert_eq!(step(&mut straight, &rows, key).to_bits(), step(&mut looking, &rows, key).to_bits());
    }
    assert_eq!(looking.gradients().unwrap().len(), straight.gradients().unwrap().len());
}

#[test]
fn adapters_are_asked_for_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = trained(lora_config());
    model.save_adapter(dir.path()).unwrap();
    let taken = model.load_adapter(dir.path(), DEFAULT_ADAPTER).unwrap_err();
    assert!(taken.code == Code::ArgumentInvalid && taken.message.contains(DEFAULT_ADAPTER), "{taken}");
    let unknown = model.set_adapter("other").unwrap_err();
    assert!(unknown.message.contains(DEFAULT_ADAPTER) && unknown.message.contains("other"), "{unknown}");
    assert_eq!(model.delete_adapter(DEFAULT_ADAPTER).unwrap_err().code, Code::ArgumentInvalid, "it is trained");
    let inference = SessionOptions { optimizer: None, ..options(None) };
    let mut base = session(1, &inference).unwrap();
    assert_eq!(base.enable_adapter().unwrap_err().code, Code::ArgumentInvalid, "none was ever set");
    base.load_adapter(dir.path(), "a").unwrap();
    base.set_adapter("a").unwrap();
    let mut full = session(1, &options(None)).unwrap();
    let refused = full.load_adapter(dir.path(), "a").unwrap_err();
    assert!(refused.message.contains("full fine-tuning"), "{refused}");
}

#[test]
fn a_new_dora_computes_what_the_base_does() {
    let rows = Rows::new(&[21, 8], 8);
    let inference = SessionOptions { optimizer: None, ..options(None) };
    let base = session(1, &inference).unwrap().logits(&rows.batch()).unwrap();
    let adapted = session(1, &options(adapter(dora(lora_config())))).unwrap().logits(&rows.batch()).unwrap();
    let largest = base.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let error = base.iter().zip(&adapted).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(error <= 1e-5 * largest, "{error} of {largest}");
}

#[test]
fn an_adapter_of_another_model_is_refused_by_module() {
    let dir = tempfile::tempdir().unwrap();
    trained(saving()).save_adapter(dir.path()).unwrap();
    let path = dir.path().join("adapter_model.safetensors");
    let start = tensors(&path);
    for (ending, expected) in [("embed_tokens.weight", "embed_tokens"), ("0.self_attn.q_proj.lora_A.weight", "q_proj")]
    {
        let mut changed = start.clone();
        let tensor = changed.iter_mut().find(|(name, ..)| name.ends_with(ending)).unwrap();
        tensor.1 = vec![tensor.1[0], tensor.1[1] / 2];
        tensor.2.truncate(tensor.1[0] * tensor.1[1]);
        let views: Vec<F32Tensor<'_>> = changed
            .iter()
            .map(|(name, shape, data)| F32Tensor { name: name.clone(), shape: shape.clone(), data })
            .collect();
        write_safetensors(&path, &views).unwrap();
        let error = session(1, &options(Some(AdapterOptions::Saved { path: dir.path().to_owned() }))).err().unwrap();
        assert!(error.code == Code::ConfigInvalid && error.place.contains(expected), "{error}");
    }
}
