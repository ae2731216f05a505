//! What a model's and an adapter's files lack, or hold beyond what is used: named before anything is computed.

// A helper that fails fails its test.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tunesmith_cpu::Cpu;
use tunesmith_engine::{AdapterOptions, Engine, MergeBase, MergedWeights, Session, inspect};
use tunesmith_formats::{
    AdapterConfig, F32Tensor, ModelConfig, ModuleNames, SafetensorsFile, TensorSource, write_safetensors,
};
use tunesmith_ops::{Code, Error};

use super::common::{VOCAB, adapter, config, options, session, write_model};

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn tensors(path: &Path) -> Tensors {
    let file = SafetensorsFile::open(path).unwrap();
    let read = |name: String| {
        let (shape, mut data) = (file.get(&name).unwrap().shape, Vec::new());
        file.get(&name).unwrap().to_f32(&mut data).unwrap();
        (name, shape, data)
    };
    file.names().into_iter().map(read).collect()
}

fn write(path: &Path, tensors: &Tensors) {
    let views: Vec<F32Tensor<'_>> = tensors
        .iter()
        .map(|(name, shape, data)| F32Tensor { name: name.clone(), shape: shape.clone(), data })
        .collect();
    write_safetensors(path, &views).unwrap();
}

fn model_config() -> ModelConfig {
    ModelConfig::from_json(Path::new("config.json"), config()).unwrap()
}

/// The model with a change to its tensors.
fn changed(dir: &Path, change: impl FnOnce(&mut Tensors)) -> SafetensorsFile {
    drop(write_model(dir, None));
    let path = dir.join("model.safetensors");
    let mut all = tensors(&path);
    change(&mut all);
    write(&path, &all);
    SafetensorsFile::open(&path).unwrap()
}

/// What is said of a model with a change to its tensors.
fn said(change: impl FnOnce(&mut Tensors)) -> Result<Vec<String>, Error> {
    let dir = tempfile::tempdir().unwrap();
    inspect(&model_config(), &changed(dir.path(), change), None)
}

#[test]
fn tensors_that_nothing_uses_are_named() {
    assert_eq!(said(|_| {}).unwrap(), [""; 0]);
    let left_over = "model.layers.1.self_attn.k_proj.lora_A.default.weight";
    for (name, shape) in [(left_over, vec![2, 24]), ("model.layers.2.input_layernorm.weight", vec![24])] {
        let len = shape.iter().product();
        let warnings = said(|all| all.push((name.to_owned(), shape, vec![0.5; len]))).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains(name), "{warnings:?}");
    }
    let buffer = "model.layers.0.self_attn.rotary_emb.inv_freq";
    assert_eq!(said(|all| all.push((buffer.to_owned(), vec![4], vec![1.0; 4]))).unwrap(), [""; 0]);
}

#[test]
fn what_is_missing_or_does_not_fit_is_refused_before_it_is_read() {
    let error = said(|all| all.retain(|(name, ..)| !name.ends_with("1.mlp.up_proj.weight"))).unwrap_err();
    assert!(error.code == Code::FileInvalid && error.message.contains("layers.1.mlp.up_proj"), "{error}");
    let error = said(|all| all[0] = (all[0].0.clone(), vec![2], vec![1.0; 2])).unwrap_err();
    assert!(error.code == Code::FileInvalid && error.message.contains("expected shape"), "{error}");
}

/// An adapter's folder with a change to its configuration and its tensors, loaded in every way.
fn adapted(
    targets: &[&str],
    set: &[(&str, Value)],
    change: impl FnOnce(&mut Tensors, &SafetensorsFile),
) -> Result<(), Error> {
    let (model, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = write_model(model.path(), None);
    let target_modules = ModuleNames::Endings(targets.iter().map(|name| (*name).to_owned()).collect());
    let new = adapter(AdapterConfig { target_modules, ..AdapterConfig::default() });
    session(1, &options(new)).unwrap().save_adapter(dir.path()).unwrap();
    let path = dir.path().join("adapter_model.safetensors");
    let mut all = tensors(&path);
    change(&mut all, &source);
    write(&path, &all);
    let path = dir.path().join("adapter_config.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    set.iter().for_each(|(key, value)| json[*key] = value.clone());
    std::fs::write(&path, json.to_string()).unwrap();

    let saved = options(Some(AdapterOptions::Saved { path: dir.path().to_owned() }));
    let loaded = session(1, &saved).map(|_| ());
    let cpu = Cpu::new(1).unwrap();
    let merged = MergedWeights::new(&cpu, &source, true, MergeBase::Original, Some(dir.path())).map(|_| ());
    let merged = merged.and_then(|()| inspect(&model_config(), &source, Some(dir.path())).map(|_| ()));
    let code = |result: &Result<(), Error>| result.as_ref().err().map(|error| error.code);
    assert_eq!(code(&loaded), code(&merged), "{loaded:?} {merged:?}");
    loaded
}

#[test]
fn an_adapter_without_what_its_configuration_promises_is_refused() {
    let drop_one = |all: &mut Tensors, _: &SafetensorsFile| {
        all.retain(|(name, ..)| !(name.contains("layers.1.") && name.contains("v_proj")));
    };
    let targets = ["q_proj", "v_proj"];
    assert!(adapted(&targets, &[], |_, _| {}).is_ok());
    let error = adapted(&targets, &[], drop_one).unwrap_err();
    assert!(error.code == Code::ConfigInvalid && error.message.contains("layers.1.self_attn.v_proj"), "{error}");
    let excluded = [("exclude_modules", json!(r".*\.1\..*v_proj"))];
    assert!(adapted(&targets, &excluded, drop_one).is_ok(), "the configuration does not promise it");
    let error = adapted(&targets, &[("modules_to_save", json!(["lm_head"]))], |_, _| {}).unwrap_err();
    assert!(error.code == Code::ConfigInvalid && error.message.contains("lm_head"), "{error}");
}

/// PEFT saves head and embedding along with factors on one of them; this model's are tied.
#[test]
fn tensors_of_the_base_in_an_adapter_must_be_the_models_own() {
    let targets = ["q_proj", "lm_head"];
    let names = ["lm_head.base_layer.weight", "model.embed_tokens.weight"];
    let copied = |factor: f32| {
        move |all: &mut Tensors, source: &SafetensorsFile| {
            let mut data = Vec::new();
            source.get("model.embed_tokens.weight").unwrap().to_f32(&mut data).unwrap();
            data[30] *= factor;
            for name in names {
                all.push((format!("base_model.model.{name}"), vec![VOCAB, 24], data.clone()));
            }
        }
    };
    assert!(adapted(&targets, &[], copied(1.0)).is_ok());
    let error = adapted(&targets, &[], copied(1.5)).unwrap_err();
    assert!(error.code == Code::ConfigInvalid && error.message.contains("resized or trained"), "{error}");
    let resized = |all: &mut Tensors, _: &SafetensorsFile| {
        all.push((format!("base_model.model.{}", names[0]), vec![VOCAB + 1, 24], vec![0.5; (VOCAB + 1) * 24]));
    };
    assert_eq!(adapted(&targets, &[], resized).unwrap_err().code, Code::ConfigInvalid);
    let tying = [("ensure_weight_tying", json!(true))];
    assert!(adapted(&["q_proj"], &tying, |_, _| {}).is_ok(), "nothing that is tied is adapted");
    let error = adapted(&targets, &tying, |_, _| {}).unwrap_err();
    assert!(error.code == Code::ConfigInvalid && error.message.contains("tied to by ensure_weight_tying"), "{error}");
}

#[test]
fn a_fully_trained_model_says_the_type_of_its_tensors() {
    for (key, other) in [("dtype", "torch_dtype"), ("torch_dtype", "dtype")] {
        let (model, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = write_model(model.path(), None);
        let mut json = config();
        json[key] = json!("float16");
        let config = ModelConfig::from_json(Path::new("config.json"), json).unwrap();
        let mut session =
            Session::new(Arc::new(Cpu::new(1).unwrap()), config, &source, "tiny", &options(None)).unwrap();
        session.save_adapter(dir.path()).unwrap();
        let saved: Value = serde_json::from_slice(&std::fs::read(dir.path().join("config.json")).unwrap()).unwrap();
        assert_eq!((&saved[key], &saved[other]), (&json!("float32"), &Value::Null));
    }
}
