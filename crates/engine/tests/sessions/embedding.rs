//! An adapter on the token embedding: where it begins, what it reaches, and what it is merged to.

// A helper that fails fails its test.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tunesmith_cpu::Cpu;
use tunesmith_engine::{
    AdapterOptions, Engine, MergeBase, MergedWeights, Objective, Session, SessionOptions, StepKey, Update,
};
use tunesmith_formats::{
    AdapterConfig, AdapterFiles, F32Tensor, FactorKind, ModelConfig, ModuleNames, ModuleTensors, SafetensorsFile,
    Weights, write_safetensors,
};
use tunesmith_ops::{Code, DType};

use super::common::{Rows, VOCAB, adapter, config, options, session, tensors, write_model};

const MODULE: &str = "model.embed_tokens";

fn alone() -> AdapterConfig {
    let target_modules = ModuleNames::Endings(vec!["embed_tokens".to_owned()]);
    AdapterConfig { target_modules, ..AdapterConfig::default() }
}

fn trained(config: AdapterConfig) -> Session<Cpu> {
    let (mut model, rows) = (session(1, &options(adapter(config))).unwrap(), Rows::new(&[20, 11], 6));
    for step in 1..4 {
        model.accumulate(&rows.batch(), &Objective::default(), StepKey { seed: 3, step }).unwrap();
        let update = Update { learning_rates: &[1e-2; 4], max_grad_norm: Some(1.0), denominator: 20.0 };
        assert!(model.update(&update).unwrap().applied);
    }
    model
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn inference(adapter: Option<AdapterOptions>) -> SessionOptions {
    SessionOptions { optimizer: None, ..options(adapter) }
}

#[test]
fn a_new_one_is_the_base_model_to_the_bit() {
    let rows = Rows::new(&[21, 8], 8);
    let base = session(1, &inference(None)).unwrap().logits(&rows.batch()).unwrap();
    let adapted = session(1, &inference(adapter(alone()))).unwrap().logits(&rows.batch()).unwrap();
    assert_eq!(bits(&base), bits(&adapted));
    assert_ne!(bits(&base), bits(&trained(alone()).logits(&rows.batch()).unwrap()));
}

#[test]
fn only_tokens_of_the_batch_have_a_gradient() {
    let (mut model, rows) = (trained(alone()), Rows::new(&[9, 4], 2));
    model.accumulate(&rows.batch(), &Objective::default(), StepKey { seed: 3, step: 9 }).unwrap();
    let gradients = model.gradients().unwrap();
    let (name, a) = &gradients[0];
    assert_eq!(*name, FactorKind::Embedding.a_name(MODULE));
    // PEFT's shape is [r, vocabulary]. The last token of a row predicts nothing.
    let inputs: Vec<i32> =
        rows.starts.windows(2).flat_map(|row| &rows.ids[row[0] as usize..row[1] as usize - 1]).copied().collect();
    for token in 0..VOCAB {
        let any = a.iter().skip(token).step_by(VOCAB).any(|g| *g != 0.0);
        assert_eq!(any, inputs.contains(&(token as i32)), "token {token}");
    }
    assert!(gradients[1].1.iter().all(|g| *g != 0.0), "B sees every token");
}

#[test]
fn nothing_is_dropped_from_it() {
    let (mut model, rows) = (trained(AdapterConfig { lora_dropout: 0.5, ..alone() }), Rows::new(&[9, 4], 2));
    let training = model.accumulate(&rows.batch(), &Objective::default(), StepKey { seed: 3, step: 9 }).unwrap();
    assert_eq!(training, model.evaluate(&rows.batch(), &Objective::default()).unwrap());
}

/// The tied head keeps the table that the model came with.
#[test]
fn merged_it_computes_what_it_does_beside_the_table() {
    let rows = Rows::new(&[21, 8], 8);
    let (mut model, dir) = (trained(AdapterConfig { use_rslora: true, ..alone() }), tempfile::tempdir().unwrap());
    model.save_adapter(dir.path()).unwrap();
    let expected = model.logits(&rows.batch()).unwrap();

    let (cpu, base) = (Arc::new(Cpu::new(1).unwrap()), tempfile::tempdir().unwrap());
    let source = write_model(base.path(), None);
    let merged = MergedWeights::new(&*cpu, &source, true, MergeBase::Original, Some(dir.path())).unwrap();
    let Value::Object(base_config) = config() else { panic!("an object") };
    let merged_config = merged.config(&base_config, DType::F32);
    assert!(merged.splits_head() && merged_config["tie_word_embeddings"] == false);
    let read = |name: String| {
        let mut data = Vec::new();
        merged.read(&name, &mut data).unwrap();
        (name.clone(), merged.shape(&name).unwrap(), data)
    };
    let all: Vec<_> = merged.names().into_iter().map(read).collect();
    let views: Vec<F32Tensor<'_>> =
        all.iter().map(|(name, shape, data)| F32Tensor { name: name.clone(), shape: shape.clone(), data }).collect();
    let path = dir.path().join("merged.safetensors");
    write_safetensors(&path, &views).unwrap();

    let merged_config = ModelConfig::from_json(Path::new("config.json"), Value::Object(merged_config)).unwrap();
    let file = SafetensorsFile::open(&path).unwrap();
    let mut plain = Session::new(cpu, merged_config, &file, "tiny", &inference(None)).unwrap();
    let got = plain.logits(&rows.batch()).unwrap();
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let error = expected.iter().zip(&got).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(error <= 2e-6 * largest, "{error} of {largest}");
}

#[test]
fn its_files_are_those_of_peft() {
    let dir = tempfile::tempdir().unwrap();
    let ranked = AdapterConfig { rank_pattern: vec![(MODULE.to_owned(), 3)], ..alone() };
    trained(ranked).save_adapter(dir.path()).unwrap();
    let files = AdapterFiles::read(dir.path()).unwrap();
    let ModuleTensors::Lora(factors) = &files.modules[MODULE] else { panic!("factors") };
    assert_eq!((&factors.a.shape[..], &factors.b.shape[..]), (&[3, VOCAB][..], &[24, 3][..]));
    // Weight decay alone moves nothing away from zero: A has values for the tokens it was trained on only.
    let rows = Rows::new(&[20, 11], 6);
    let token = (0..VOCAB).find(|token| !rows.ids.contains(&(*token as i32))).unwrap();
    assert!(factors.a.data.iter().skip(token).step_by(VOCAB).all(|value| *value == 0.0));

    // Under the names of a linear layer they are refused.
    let path = dir.path().join("adapter_model.safetensors");
    let mut all = tensors(&path);
    for (name, ..) in &mut all {
        *name = name.replace("lora_embedding_A", "lora_A.weight").replace("lora_embedding_B", "lora_B.weight");
    }
    let views: Vec<F32Tensor<'_>> =
        all.iter().map(|(name, shape, data)| F32Tensor { name: name.clone(), shape: shape.clone(), data }).collect();
    write_safetensors(&path, &views).unwrap();
    let error = session(1, &inference(Some(AdapterOptions::Saved { path: dir.path().to_owned() }))).err().unwrap();
    assert!(error.code == Code::ConfigInvalid && error.place == MODULE, "{error}");
}
