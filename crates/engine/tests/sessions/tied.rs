//! A head and an embedding that are one matrix and stay one with an adapter on them: `ensure_weight_tying`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tunesmith_cpu::Cpu;
use tunesmith_engine::adapter::DEFAULT_ADAPTER;
use tunesmith_engine::{AdapterOptions, Engine, MergeBase, MergedWeights, StepKey};
use tunesmith_formats::{AdapterConfig, AdapterFiles, InitLoraWeights, ModuleNames, TokenIndices, transposed};
use tunesmith_ops::Code;

use super::common::{
    Rows, VOCAB, adapter, inference, logits, losses, of_folder, options, session, step, tensors, trained, write_model,
};

const KEY: StepKey = StepKey { seed: 3, step: 9 };

fn tying(targets: &[&str], saved: &[&str]) -> AdapterConfig {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    AdapterConfig {
        target_modules: ModuleNames::Endings(names(targets)),
        modules_to_save: names(saved),
        ensure_weight_tying: true,
        ..AdapterConfig::default()
    }
}

/// What is asked for one of the two, in every way.
fn kinds() -> [AdapterConfig; 5] {
    [
        tying(&["q_proj", "embed_tokens"], &[]),
        tying(&["q_proj", "lm_head"], &[]),
        tying(&["q_proj", "embed_tokens", "lm_head"], &[]),
        tying(&["q_proj"], &["lm_head"]),
        tying(&["q_proj"], &["embed_tokens"]),
    ]
}

fn saved(path: &Path) -> AdapterOptions {
    AdapterOptions::Saved { path: path.to_owned() }
}

/// Rewrites a key of a saved adapter's configuration.
fn set(dir: &Path, key: &str, value: Value) {
    let path = dir.join("adapter_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(&path, config.to_string()).unwrap();
}

#[test]
fn it_is_saved_under_both_names_read_again_and_merged_into_one_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let source = write_model(folder.path(), None);
    let base = logits(&mut inference(None));
    for config in kinds() {
        let whole = !config.modules_to_save.is_empty();
        let mut model = trained(config.clone());
        let now = logits(&mut model);
        let dir = tempfile::tempdir().unwrap();
        model.save_adapter(dir.path()).unwrap();
        assert!(of_folder(dir.path()) == now, "{config:?}");
        model.disable_adapter().unwrap();
        assert!(logits(&mut model) == base, "off is the base to the bit");
        model.set_adapter(DEFAULT_ADAPTER).unwrap();
        assert!(logits(&mut model) == now);
        let all = tensors(&dir.path().join("adapter_model.safetensors"));
        let of = |name: &str| all.iter().find(|(known, ..)| known == &format!("base_model.model.{name}")).unwrap();
        if whole {
            assert_eq!(of("lm_head.weight").2, of("model.embed_tokens.weight").2);
        } else {
            let ((_, shape, a), (_, _, b)) =
                (of("model.embed_tokens.lora_embedding_A"), of("model.embed_tokens.lora_embedding_B"));
            assert_eq!(shape, &[4, VOCAB]);
            assert_eq!(of("lm_head.lora_A.weight").2, transposed(b, 4));
            assert_eq!(of("lm_head.lora_B.weight").2, transposed(a, VOCAB));
        }
        let cpu = Cpu::new(1).unwrap();
        let merged = MergedWeights::new(&cpu, &source, true, MergeBase::Original, Some(dir.path())).unwrap();
        assert!(!merged.splits_head(), "one matrix stays one");
    }
}

/// The same adapter as two, one on the embedding and one on the head: their gradients sum to that of the one.
#[test]
fn the_gradient_is_the_sum_of_both_ends() {
    let rows = Rows::new(&[9, 14], 2);
    for config in [&kinds()[0], &kinds()[3]] {
        let mut model = trained(config.clone());
        let dir = tempfile::tempdir().unwrap();
        model.save_adapter(dir.path()).unwrap();
        losses(&mut model, &rows, KEY);
        let tied = model.gradients().unwrap();
        set(dir.path(), "ensure_weight_tying", json!(false));
        if config.modules_to_save.is_empty() {
            set(dir.path(), "target_modules", json!(["q_proj", "embed_tokens", "lm_head"]));
        } else {
            set(dir.path(), "modules_to_save", json!(["embed_tokens", "lm_head"]));
        }
        let mut apart = session(1, &options(Some(saved(dir.path())))).unwrap();
        losses(&mut apart, &rows, KEY);
        let apart = apart.gradients().unwrap();
        let of = |all: &[(String, Vec<f32>)], part: &str| {
            all.iter().find(|(name, _)| name.contains(part)).unwrap().1.clone()
        };
        let pairs: &[(&str, &str, usize)] = if config.modules_to_save.is_empty() {
            &[("lora_embedding_A", "lm_head.lora_B", 4), ("lora_embedding_B", "lm_head.lora_A", 24)]
        } else {
            &[("embed_tokens", "lm_head", 0)]
        };
        for (embedding, head, columns) in pairs {
            let (one, mut other) = (of(&apart, embedding), of(&apart, head));
            if *columns > 0 {
                other = transposed(&other, *columns);
            }
            for ((sum, a), b) in of(&tied, embedding).iter().zip(&one).zip(&other) {
                assert!((sum - a - b).abs() <= 1e-4 * (a.abs() + b.abs()) + 1e-5, "{embedding}: {sum} of {a} and {b}");
            }
        }
    }
}

#[test]
fn a_checkpoint_continues_to_the_bit() {
    for config in [&kinds()[1], &kinds()[3]] {
        let dir = tempfile::tempdir().unwrap();
        let mut straight = trained(config.clone());
        straight.save_checkpoint(dir.path()).unwrap();
        let mut resumed = session(2, &options(adapter(config.clone()))).unwrap();
        resumed.load_checkpoint(dir.path()).unwrap();
        for number in 4..6 {
            assert_eq!(step(&mut straight, number).to_bits(), step(&mut resumed, number).to_bits());
        }
    }
}

#[test]
fn what_cannot_be_tied_is_refused_and_what_has_no_effect_is_told() {
    let refused = |config: AdapterConfig| session(1, &options(adapter(config))).map(drop).unwrap_err();
    let error = refused(AdapterConfig { use_dora: true, ..tying(&["lm_head"], &[]) });
    assert!(error.message.contains("with useDora, got \"model.embed_tokens\""), "{error}");
    let lists = vec![("embed_tokens".to_owned(), vec![1]), ("lm_head".to_owned(), vec![2])];
    let tokens = Some(TokenIndices::ByModule(lists));
    let error = refused(AdapterConfig { trainable_token_indices: tokens, ..tying(&["q_proj"], &[]) });
    assert!(error.message.contains("the same tokens for embed_tokens and lm_head"), "{error}");
    let idle = session(1, &options(adapter(tying(&["q_proj"], &[])))).unwrap();
    assert!(
        idle.warnings().iter().any(|why| why.starts_with("lora.ensureWeightTying: neither")),
        "{:?}",
        idle.warnings()
    );
    let dir = tempfile::tempdir().unwrap();
    trained(AdapterConfig { init_lora_weights: InitLoraWeights::Gaussian, ..kinds()[0].clone() })
        .save_adapter(dir.path())
        .unwrap();
    let path = dir.path().join("adapter_model.safetensors");
    let mut all = tensors(&path);
    for (name, _, data) in &mut all {
        if name.contains("lm_head.lora_A") {
            data[3] += 1.0;
        }
    }
    let views = all.iter().map(|(name, shape, data)| tunesmith_formats::F32Tensor {
        name: name.clone(),
        shape: shape.clone(),
        data,
    });
    tunesmith_formats::write_safetensors(&path, &views.collect::<Vec<_>>()).unwrap();
    assert!(AdapterFiles::read(dir.path()).is_ok());
    let error = session(1, &options(Some(saved(dir.path())))).map(drop).unwrap_err();
    assert!(error.code == Code::ConfigInvalid && error.message.contains("tied to by ensure_weight_tying"), "{error}");
}
