//! What holds for any session: packing, recomputation, threads, checkpoints, generation, and what is refused.

// A helper that fails fails its test.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tunesmith_cpu::Cpu;
use tunesmith_engine::optimizer::ParameterSpec;
use tunesmith_engine::{
    AdamWOptions, AdapterOptions, Batch, Engine, LionOptions, Objective, OptimizerOptions, ParameterGroup,
    ParameterKind, Request, Sampling, ScheduleFreeOptions, SequenceSums, Session, SessionOptions, StepKey, TokenEvent,
    Update,
};
use tunesmith_formats::{ModelConfig, ModuleNames};
use tunesmith_ops::Code;

use super::common::{
    OPTIMIZER, Rows, VOCAB, config, lora, optimizers, options, session, tensors, wide, write_model, write_moved,
};

const RATES: [f64; 4] = [1e-2; 4];
const KEY: StepKey = StepKey { seed: 3, step: 1 };

fn update(session: &mut Session<Cpu>, denominator: f64) -> f64 {
    let step = Update { learning_rates: &RATES, max_grad_norm: Some(1.0), denominator };
    let updated = session.update(&step).unwrap();
    assert!(updated.applied);
    updated.grad_norm
}

#[test]
fn packing_changes_no_bit_of_a_rows_loss() {
    let rows = Rows::new(&[7, 19, 1, 33], 1);
    let mut model = session(2, &options(lora(ModuleNames::AllLinear))).unwrap();
    let packed = model.evaluate(&rows.batch(), &Objective::default()).unwrap();
    for (index, expected) in packed.iter().enumerate() {
        let alone = model.evaluate(&rows.row(index).batch(), &Objective::default()).unwrap();
        assert_eq!(alone[0].loss.to_bits(), expected.loss.to_bits(), "row {index}");
        assert_eq!(alone[0], *expected);
    }
    assert_eq!(packed[2].tokens, 0, "a single token has nothing to predict");
}

#[test]
fn a_batch_without_labels_sums_to_nothing() {
    let mut rows = Rows::new(&[7, 3], 1);
    rows.labels.fill(-100);
    let mut model = session(1, &options(lora(ModuleNames::AllLinear))).unwrap();
    let nothing = vec![SequenceSums::default(); 2];
    assert_eq!(model.evaluate(&rows.batch(), &Objective::default()).unwrap(), nothing);
    assert_eq!(model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap(), nothing);
    assert!(model.gradients().unwrap().iter().all(|(_, values)| values.iter().all(|&value| value == 0.0)));
}

#[test]
fn accumulating_row_by_row_gives_the_packed_gradient() {
    let rows = Rows::new(&[12, 5, 30], 2);
    for adapter in [lora(ModuleNames::AllLinear), None] {
        let mut model = session(1, &options(adapter)).unwrap();
        let sums = model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
        let evaluated = model.evaluate(&rows.batch(), &Objective::default()).unwrap();
        assert_eq!(sums, evaluated, "a gradient changes no loss");
        let together = model.gradients().unwrap();
        model.clear_gradients().unwrap();
        for row in 0..3 {
            model.accumulate(&rows.row(row).batch(), &Objective::default(), KEY).unwrap();
        }
        for ((name, a), (_, b)) in together.iter().zip(model.gradients().unwrap()) {
            let largest = a.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let error = a.iter().zip(&b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(error <= 3e-6 * largest, "{name}: {error} of {largest}");
        }
    }
}

#[test]
fn recomputation_and_threads_change_no_bit() {
    let rows = Rows::new(&[25, 40], 3);
    let run = |threads: usize, gradient_checkpointing: bool| {
        let options = SessionOptions { gradient_checkpointing, ..options(None) };
        let mut model = session(threads, &options).unwrap();
        for _ in 0..3 {
            model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
            update(&mut model, 40.0);
        }
        model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        model.gradients().unwrap().into_iter().map(|(name, values)| (name, bits(values))).collect::<Vec<_>>()
    };
    let expected = run(1, false);
    for (threads, checkpointing) in [(1, true), (2, false), (4, true)] {
        assert!(run(threads, checkpointing) == expected, "{threads} threads, checkpointing {checkpointing}");
    }
}

#[test]
fn full_fine_tuning_gradient_agrees_with_finite_differences() {
    let rows = Rows::new(&[9, 6], 4);
    let mut model = session(1, &options(None)).unwrap();
    let loss = |model: &mut Session<Cpu>| {
        model.evaluate(&rows.batch(), &Objective::default()).unwrap().iter().map(|sum| sum.loss).sum::<f64>()
    };
    model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
    let gradients = model.gradients().unwrap();
    // A step along the gradient with plain numbers: two losses a distance apart give its squared norm.
    let squared: f64 = gradients.iter().flat_map(|(_, g)| g).map(|g| f64::from(*g).powi(2)).sum();
    let distance = 2e-3 / squared.sqrt();
    let dir = tempfile::tempdir().unwrap();
    model.save_checkpoint(dir.path()).unwrap();
    let start = tensors(&dir.path().join("model.safetensors"));
    let moved = [1.0, -1.0].map(|sign| {
        write_moved(&dir.path().join("model.safetensors"), &start, &gradients, sign * distance);
        model.load_checkpoint(dir.path()).unwrap();
        loss(&mut model)
    });
    let slope = (moved[0] - moved[1]) / (2.0 * distance);
    assert!((slope / squared - 1.0).abs() < 2e-3, "slope {slope}, squared norm {squared}");
}

#[test]
fn a_checkpoint_continues_to_the_bit_under_every_optimizer() {
    for optimizer in optimizers() {
        let options = SessionOptions { optimizer: Some(optimizer), ..options(lora(ModuleNames::AllLinear)) };
        continues_to_the_bit(&options);
    }
}

fn continues_to_the_bit(options: &SessionOptions) {
    let rows = Rows::new(&[20, 11], 6);
    let dir = tempfile::tempdir().unwrap();
    let step = |model: &mut Session<Cpu>| {
        model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
        update(model, 20.0)
    };
    let mut straight = session(2, options).unwrap();
    let mut resumed = session(1, options).unwrap();
    for _ in 0..3 {
        step(&mut straight);
    }
    straight.save_checkpoint(dir.path()).unwrap();
    resumed.load_checkpoint(dir.path()).unwrap();
    for _ in 0..3 {
        // To look at the weights between two steps changes none, whatever an optimizer evaluates with.
        resumed.evaluate(&rows.batch(), &Objective::default()).unwrap();
        assert_eq!(step(&mut straight).to_bits(), step(&mut resumed).to_bits());
    }
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    straight.save_adapter(a.path()).unwrap();
    resumed.save_adapter(b.path()).unwrap();
    let bytes = |dir: &Path| std::fs::read(dir.join("adapter_model.safetensors")).unwrap();
    assert!(bytes(a.path()) == bytes(b.path()));
}

#[test]
fn a_checkpoint_continues_to_the_bit_in_eight_bits() {
    let lion = OptimizerOptions::Lion8bit(LionOptions { beta1: 0.9, beta2: 0.99 });
    for optimizer in [OptimizerOptions::AdamW8bit(AdamWOptions::default()), lion] {
        let options = SessionOptions { optimizer: Some(optimizer), ..options(wide()) };
        continues_to_the_bit(&options);
        let dir = tempfile::tempdir().unwrap();
        session(1, &options).unwrap().save_checkpoint(dir.path()).unwrap();
        let names = tensors(&dir.path().join("optimizer.safetensors"));
        for part in ["state1.", "absmax1."] {
            assert!(names.iter().any(|(name, ..)| name.starts_with(part)), "{part}");
        }
    }
}

#[test]
fn a_schedule_free_optimizer_evaluates_and_saves_the_mean_of_its_points() {
    let free = ScheduleFreeOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, r: 0.0, weight_lr_power: 2.0 };
    let with = |optimizer| SessionOptions { optimizer, ..options(lora(ModuleNames::AllLinear)) };
    let rows = Rows::new(&[20, 11], 6);
    let mut model = session(1, &with(Some(OptimizerOptions::ScheduleFree(free)))).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
        update(&mut model, 20.0);
    }
    let evaluated = model.evaluate(&rows.batch(), &Objective::default()).unwrap();
    model.save_checkpoint(dir.path()).unwrap();
    // Whoever reads the adapter has what was evaluated.
    let saved = Some(AdapterOptions::Saved { path: dir.path().to_owned() });
    let mut read = session(1, &SessionOptions { optimizer: None, ..options(saved) }).unwrap();
    assert_eq!(read.evaluate(&rows.batch(), &Objective::default()).unwrap(), evaluated);
    let trained = model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
    assert_ne!(trained, evaluated, "the trained point is another one");
    let error = model.evaluate(&rows.batch(), &Objective::default()).unwrap_err();
    assert!(error.to_string().contains("no summed gradient with a schedule-free optimizer"), "{error}");
    let mean = tensors(&dir.path().join("adapter_model.safetensors"));
    let state = tensors(&dir.path().join("optimizer.safetensors"));
    let of = |name: String| &state.iter().find(|(of, ..)| *of == name).unwrap().2;
    for (name, _, mean) in &mean {
        let (y, z) = (of(format!("y.{name}")), of(format!("z.{name}")));
        for ((x, y), z) in mean.iter().zip(y).zip(z) {
            // y = β₁ x + (1 − β₁) z
            assert!((0.9 * x + 0.1 * z - y).abs() <= 1e-6 * (1.0 + y.abs()), "{name}");
        }
    }
}

#[test]
fn groups_by_regular_expression_come_first_and_must_find_something() {
    let with = |parameter_groups| SessionOptions { parameter_groups, ..options(lora(ModuleNames::AllLinear)) };
    let by = |pattern: &str, rate| ParameterGroup {
        name: format!("by {pattern}"),
        parameters: ParameterKind::ALL.to_vec(),
        pattern: Some(pattern.to_owned()),
        rate,
        decay: 0.25,
    };
    let groups = |patterns: &[&str]| {
        let named = patterns.iter().map(|pattern| by(pattern, 0.5)).collect::<Vec<_>>();
        [named, ParameterGroup::of_each_kind(0.1, 0.01)].concat()
    };
    let model = session(1, &with(groups(&[r"layers\.1\..*q_proj", "q_proj"]))).unwrap();
    let info = model.groups();
    let q_proj: usize = 4 * 24 + 32 * 4;
    assert_eq!((info[0].parameters, info[1].parameters), (q_proj, q_proj), "the first that finds it");
    let trained: usize = model.parameters().specs().iter().map(ParameterSpec::len).sum();
    assert_eq!(info.iter().map(|group| group.parameters).sum::<usize>(), trained);
    for (patterns, named) in
        [(&["q_prj"][..], "an expression that finds a trained tensor"), (&["q_(proj"][..], "a regular expression")]
    {
        let error = session(1, &with(groups(patterns))).err().unwrap();
        assert!(error.code == Code::ArgumentInvalid && error.to_string().contains(named), "{error}");
    }
}

#[test]
fn a_checkpoint_of_another_adapter_is_refused_and_changes_nothing() {
    let rows = Rows::new(&[15], 6);
    let dir = tempfile::tempdir().unwrap();
    session(1, &options(lora(ModuleNames::AllLinear))).unwrap().save_checkpoint(dir.path()).unwrap();
    let targets = ModuleNames::Endings(vec!["q_proj".into(), "lm_head".into()]);
    let mut other = session(1, &options(lora(targets))).unwrap();
    let before = other.evaluate(&rows.batch(), &Objective::default()).unwrap();
    let error = other.load_checkpoint(dir.path()).unwrap_err();
    assert_eq!(error.code, Code::CheckpointInvalid);
    assert_eq!(other.evaluate(&rows.batch(), &Objective::default()).unwrap(), before);
}

#[test]
fn a_checkpoint_of_another_optimizer_is_refused_by_what_it_lacks() {
    let with = |optimizer| SessionOptions { optimizer: Some(optimizer), ..options(lora(ModuleNames::AllLinear)) };
    let (adamw, momentum) = (OPTIMIZER, optimizers()[1]);
    let dir = tempfile::tempdir().unwrap();
    session(1, &with(momentum)).unwrap().save_checkpoint(dir.path()).unwrap();
    let error = session(1, &with(adamw)).unwrap().load_checkpoint(dir.path()).unwrap_err();
    assert!(error.code == Code::CheckpointInvalid && error.to_string().contains("exp_avg"), "{error}");
}

#[test]
fn every_trained_tensor_belongs_to_one_group() {
    let with = |parameter_groups| SessionOptions { parameter_groups, ..options(lora(ModuleNames::AllLinear)) };
    let group = |name: &str, parameters: &[ParameterKind], rate| ParameterGroup {
        name: name.to_owned(),
        parameters: parameters.to_vec(),
        pattern: None,
        rate,
        decay: 0.0,
    };
    let [decay, lora_b] = [ParameterKind::Decay, ParameterKind::LoraB];
    let groups = [group("b", &[lora_b], 0.3), group("rest", &[decay, ParameterKind::Embedding], 0.1)];
    let mut model = session(1, &with(groups.to_vec())).unwrap();
    let info = model.groups();
    assert_eq!((info[0].name.as_str(), info[0].rate, info[1].rate), ("b", 0.3, 0.1));
    let trained: usize = model.parameters().specs().iter().map(ParameterSpec::len).sum();
    assert!(info[0].parameters > 0 && info[0].parameters + info[1].parameters == trained);
    assert!(model.update(&Update { learning_rates: &RATES, max_grad_norm: None, denominator: 1.0 }).is_err());

    for (groups, named) in [
        (vec![group("a", &[decay], 0.1)], "lora_b"),
        (vec![group("a", &[decay, lora_b], 0.1), group("b", &[decay], 0.1)], "decay"),
        (vec![group("a", &[decay], 0.1), group("a", &[lora_b], 0.1)], "a name of its own"),
        (vec![group("a", &[decay, lora_b], f64::NAN)], "rate"),
    ] {
        let error = session(1, &with(groups)).err().unwrap();
        assert!(error.code == Code::ArgumentInvalid && error.to_string().contains(named), "{error}");
    }
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    let rows = Rows::new(&[15], 7);
    let mut model = session(1, &options(lora(ModuleNames::AllLinear))).unwrap();
    let before = model.evaluate(&rows.batch(), &Objective::default()).unwrap();
    let weights = vec![f32::INFINITY; rows.ids.len()];
    model.accumulate(&Batch { weights: Some(&weights), ..rows.batch() }, &Objective::default(), KEY).unwrap();
    let step = Update { learning_rates: &RATES, max_grad_norm: None, denominator: 1.0 };
    assert!(!model.update(&step).unwrap().applied);
    assert_eq!(model.evaluate(&rows.batch(), &Objective::default()).unwrap(), before);
    model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
    assert!(update(&mut model, 10.0) > 0.0, "the bad gradient was cleared");
}

#[test]
fn a_gradient_that_is_thrown_away_names_where_it_was_not_finite() {
    let rows = Rows::new(&[15], 7);
    let mut model = session(1, &options(lora(ModuleNames::AllLinear))).unwrap();
    model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
    assert_eq!(model.discard_gradient().unwrap(), Vec::<String>::new());
    let weights = vec![f32::INFINITY; rows.ids.len()];
    model.accumulate(&Batch { weights: Some(&weights), ..rows.batch() }, &Objective::default(), KEY).unwrap();
    let names = model.discard_gradient().unwrap();
    assert!(names.iter().any(|name| name.contains("layers.1.") && name.ends_with("lora_B.weight")), "{names:?}");
    assert!(model.gradients().unwrap().iter().all(|(_, values)| values.iter().all(|&value| value == 0.0)));
}

#[test]
fn a_checkpoint_with_a_value_that_is_not_finite_is_neither_written_nor_read() {
    let options = options(lora(ModuleNames::AllLinear));
    let rows = Rows::new(&[15], 7);
    let mut model = session(1, &options).unwrap();
    // A gradient of 1e30 is finite; its square is not, and AdamW keeps that.
    model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap();
    let step = Update { learning_rates: &RATES, max_grad_norm: None, denominator: 1e-30 };
    assert!(model.update(&step).unwrap().applied);
    let dir = tempfile::tempdir().unwrap();
    let error = model.save_checkpoint(dir.path()).unwrap_err();
    assert_eq!(error.code, Code::NonFinite);
    assert!(error.place.starts_with("exp_avg_sq."), "{error}");

    let mut model = session(1, &options).unwrap();
    model.save_checkpoint(dir.path()).unwrap();
    let path = dir.path().join("optimizer.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let error = model.load_checkpoint(dir.path()).unwrap_err();
    assert_eq!(error.code, Code::CheckpointInvalid);
    assert!(error.message.contains("expected finite values, got NaN"), "{error}");
}

fn written(model: &mut Session<Cpu>, prompts: &[Vec<i32>], sampling: &Sampling, stop_tokens: &[i32]) -> Vec<Vec<i32>> {
    let request = Request {
        prompts: prompts.to_vec(),
        max_new_tokens: 12,
        sampling: sampling.clone(),
        stop_tokens: stop_tokens.to_vec(),
        ..Request::default()
    };
    let mut out = vec![Vec::new(); prompts.len()];
    model
        .generate(&request, &mut |event: TokenEvent| {
            out[event.index].push(event.token);
            ControlFlow::Continue(())
        })
        .unwrap();
    out
}

#[test]
fn generation_does_not_depend_on_the_company() {
    let prompts: Vec<Vec<i32>> = (0..40).map(|i| (0..=(i % 9)).map(|j| (i * 7 + j) % VOCAB as i32).collect()).collect();
    let mut model = session(2, &options(lora(ModuleNames::AllLinear))).unwrap();
    let greedy = written(&mut model, &prompts, &Sampling::default(), &[]);
    for (prompt, expected) in prompts.iter().zip(&greedy) {
        assert_eq!(&written(&mut model, std::slice::from_ref(prompt), &Sampling::default(), &[])[0], expected);
    }
    let sampling = Sampling { temperature: 1.0, seed: 9, ..Sampling::default() };
    let drawn = written(&mut model, &prompts, &sampling, &[]);
    assert_eq!(written(&mut model, &prompts[..3], &sampling, &[])[..], drawn[..3]);
    assert_ne!(drawn, greedy);
    let stop = greedy[0][4];
    let stopped = written(&mut model, &prompts[..1], &Sampling::default(), &[stop]);
    let first = greedy[0].iter().position(|token| *token == stop).unwrap();
    assert_eq!(stopped[0], greedy[0][..=first], "the stop token is given out, nothing after it");
}

#[test]
fn cached_generation_equals_the_full_forward_pass() {
    let mut model = session(1, &options(lora(ModuleNames::AllLinear))).unwrap();
    let prompt = vec![3, 1, 4, 1, 5];
    let tokens = &written(&mut model, std::slice::from_ref(&prompt), &Sampling::default(), &[])[0];
    let mut ids = prompt;
    for token in tokens {
        let positions: Vec<i32> = (0..ids.len() as i32).collect();
        let starts = [0, ids.len() as i32];
        let batch = Batch {
            input_ids: &ids,
            labels: &ids,
            positions: &positions,
            sequence_starts: &starts,
            weights: None,
            row_ids: None,
        };
        let logits = model.logits(&batch).unwrap();
        let last = &logits[(ids.len() - 1) * VOCAB..];
        let best = (0..VOCAB).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap();
        assert_eq!(best as i32, *token);
        ids.push(*token);
    }
}

#[test]
fn a_new_adapter_equals_the_base_bit_for_bit() {
    let rows = Rows::new(&[21, 8], 8);
    let inference = SessionOptions { optimizer: None, ..options(None) };
    let base = session(1, &inference).unwrap().logits(&rows.batch()).unwrap();
    let adapted = session(1, &options(lora(ModuleNames::AllLinear))).unwrap().logits(&rows.batch()).unwrap();
    assert!(base.iter().zip(&adapted).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn broken_batches_name_the_field() {
    let mut model = session(1, &options(lora(ModuleNames::AllLinear))).unwrap();
    let rows = Rows::new(&[6, 4], 9);
    let mut ids = rows.ids.clone();
    ids[3] = VOCAB as i32;
    let mut labels = rows.labels.clone();
    labels[5] = -7;
    let cases = [
        ("inputIds", Batch { input_ids: &ids, ..rows.batch() }),
        ("labels", Batch { labels: &labels, ..rows.batch() }),
        ("labels", Batch { labels: &rows.labels[1..], ..rows.batch() }),
        ("positions", Batch { positions: &[-1; 10], ..rows.batch() }),
        ("sequenceStarts", Batch { sequence_starts: &[0, 6], ..rows.batch() }),
        ("sequenceStarts", Batch { sequence_starts: &[0, 6, 6, 10], ..rows.batch() }),
        ("weights", Batch { weights: Some(&[1.0]), ..rows.batch() }),
        ("rowIds", Batch { row_ids: Some(&[1]), ..rows.batch() }),
    ];
    for (field, batch) in cases {
        let error = model.accumulate(&batch, &Objective::default(), KEY).unwrap_err();
        assert_eq!(error.code, Code::ArgumentInvalid);
        assert!(error.place.ends_with(field), "{error}");
    }
}

#[test]
fn not_a_number_in_the_weights_names_the_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    let source = write_model(dir.path(), Some(name));
    let config = ModelConfig::from_json(Path::new("config.json"), config()).unwrap();
    let cpu = Arc::new(Cpu::new(1).unwrap());
    let error = Session::new(cpu, config, &source, "tiny", &options(None)).err().unwrap();
    assert_eq!((error.code, error.place.as_str()), (Code::NonFinite, name));
}

#[test]
fn unknown_families_and_features_are_named() {
    let refuse = |key: &str, value: serde_json::Value| {
        let mut json = config();
        json[key] = value;
        let config = ModelConfig::from_json(Path::new("config.json"), json).unwrap();
        tunesmith_engine::config::ModelConfig::new(&config).unwrap_err()
    };
    let error = refuse("model_type", "mamba".into());
    assert_eq!(error.code, Code::ModelUnsupported);
    assert!(error.message.contains("qwen3") && error.message.contains("mamba"), "{error}");
    assert_eq!(refuse("hidden_act", "gelu".into()).code, Code::ModelUnsupported);
    assert_eq!(refuse("attention_dropout", 0.1.into()).code, Code::ModelUnsupported);
    assert_eq!(refuse("num_key_value_heads", 3.into()).code, Code::ConfigInvalid);
    assert_eq!(
        refuse("rope_scaling", serde_json::json!({"rope_type": "dynamic", "factor": 4.0})).code,
        Code::ModelUnsupported
    );
}

#[test]
fn a_session_without_an_optimizer_does_not_train() {
    let inference = SessionOptions { optimizer: None, ..options(lora(ModuleNames::AllLinear)) };
    let mut model = session(1, &inference).unwrap();
    assert_eq!(
        model.accumulate(&Rows::new(&[5], 1).batch(), &Objective::default(), KEY).unwrap_err().code,
        Code::ArgumentInvalid
    );
    assert!(model.groups().iter().all(|group| group.parameters == 0));
    let trained = session(1, &options(None)).unwrap();
    assert_eq!(trained.groups().iter().map(|group| group.parameters).sum::<usize>(), trained.total_parameters());
    assert!((trained.groups()[0].decay - 0.01).abs() < 1e-12);
}
