//! Hugging Face → GGUF → Hugging Face, over every model of the project's own set and of `TUNESMITH_FIXTURES`: the tensors that
//! come back are those that went in, rounded once, and the model says the same.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tunesmith_cpu::Cpu;
use tunesmith_engine::{Batch, SessionOptions};
use tunesmith_formats::{
    AsStored, GgufTokenizer, ModelConfig, ModelFiles, Quantization, StoredTensor, StoredType, TensorSource, dequantize,
    quantize, write_gguf,
};
use tunesmith_ops::{Code, Result};

/// The tensor of a head that is tied.
const EMBEDDING: &str = "model.embed_tokens.weight";

/// Ids that every vocabulary has.
const IDS: [i32; 16] = [5, 17, 3, 40, 12, 9, 33, 21, 8, 60, 2, 11, 7, 19, 4, 26];

/// Largest relative difference of the logits of a model to those of the same model whose weights were rounded in memory: the
/// norms that count from one lose their last bits.
const TOLERANCE: f64 = 1e-5;

fn models() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures");
    let given = std::env::var_os("TUNESMITH_FIXTURES").map(PathBuf::from);
    let mut found = Vec::new();
    for root in [Some(own), given].into_iter().flatten() {
        let listed = std::fs::read_dir(root.join("models")).into_iter().flatten();
        found.extend(listed.filter_map(|entry| entry.ok().map(|entry| entry.path())));
    }
    found.sort();
    found
}

/// As many tokens as the embedding has rows; their texts do not matter here.
fn vocabulary(rows: usize) -> GgufTokenizer {
    GgufTokenizer {
        model: "gpt2".to_owned(),
        pre: Some("gpt-2".to_owned()),
        tokens: (0..rows - 3).map(|id| format!("t{id}")).collect(),
        token_types: vec![1; rows - 3],
        merges: vec!["t 1".to_owned()],
        eos_token_id: Some(2),
        eot_token_id: Some(3),
        chat_template: Some("{{ messages }}".to_owned()),
        ..GgufTokenizer::default()
    }
}

/// The configuration with the one pattern of unrotated layers that llama.cpp computes.
fn expressible(config: &ModelConfig) -> ModelConfig {
    let mut map = config.as_map().clone();
    if map.contains_key("no_rope_layers") {
        let layers = config.size("num_hidden_layers").unwrap();
        map.insert("no_rope_layers".into(), (1..=layers).map(|layer| i32::from(layer % 4 != 0)).collect());
    }
    ModelConfig::from_json(Path::new("config.json"), Value::Object(map)).unwrap()
}

fn logits(config: &ModelConfig, source: &dyn TensorSource) -> Result<Vec<f32>> {
    let backend = Arc::new(Cpu::new(1)?);
    let options = SessionOptions::inference();
    let mut session = tunesmith_engine::Session::new(backend, config.clone(), source, "", &options)?;
    let positions: Vec<i32> = (0..IDS.len() as i32).collect();
    session.logits(&Batch {
        input_ids: &IDS,
        labels: &IDS,
        positions: &positions,
        sequence_starts: &[0, IDS.len() as i32],
        weights: None,
        row_ids: None,
    })
}

fn relative_error(got: &[f32], expected: &[f32]) -> f64 {
    let largest = expected.iter().fold(0.0_f64, |most, value| most.max(f64::from(value.abs())));
    let difference = got.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    difference / largest
}

/// A model's own weights, each rounded to the type that a file has it in.
struct Rounded<'a> {
    source: &'a dyn TensorSource,
    rounded: BTreeMap<String, Vec<u8>>,
}

impl<'a> Rounded<'a> {
    fn new(source: &'a dyn TensorSource, written: &dyn TensorSource) -> Self {
        let rounded = |tensor: String| {
            // A head that was tied has no tensor of its own.
            let name = if source.contains(&tensor) { tensor } else { EMBEDDING.to_owned() };
            let stored = written.get(if written.contains(&name) { &name } else { EMBEDDING }).unwrap();
            let (mut original, mut bytes, mut values) = (Vec::new(), Vec::new(), Vec::new());
            source.get(&name).unwrap().to_f32(&mut original).unwrap();
            for row in original.chunks(stored.row_elements()) {
                quantize(stored.stored, row, None, &mut bytes).unwrap();
            }
            dequantize(stored.stored, &bytes, &mut values).unwrap();
            (name, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        };
        Self { source, rounded: written.names().into_iter().map(rounded).collect() }
    }
}

impl TensorSource for Rounded<'_> {
    fn names(&self) -> Vec<String> {
        self.source.names()
    }

    fn get(&self, name: &str) -> Result<StoredTensor<'_>> {
        let tensor = self.source.get(name)?;
        match self.rounded.get_key_value(name) {
            Some((name, bytes)) => StoredTensor::from_bytes(name, StoredType::F32, tensor.shape.clone(), bytes),
            None => Ok(tensor),
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }
}

/// Every tensor that came back, against its source rounded to the type it is stored in.
fn compare_tensors(name: &str, rounded: &Rounded<'_>, written: &ModelFiles) {
    let (mut expected, mut got) = (Vec::new(), Vec::new());
    for tensor in written.source.names() {
        let source = if rounded.contains(&tensor) { tensor.as_str() } else { EMBEDDING };
        let stored = written.source.get(&tensor).unwrap();
        rounded.get(source).unwrap().to_f32(&mut expected).unwrap();
        stored.to_f32(&mut got).unwrap();
        let columns = stored.row_elements();
        let error = relative_error(&got, &expected);
        // Norms that count from one lose the last bits of the sum.
        assert!(
            error <= if stored.bytes().is_none() && columns == 1 { 2e-7 } else { 0.0 },
            "{name} {tensor}: {error:e}"
        );
    }
}

#[test]
fn a_model_comes_back_from_gguf_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut families = Vec::new();
    for folder in models() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let files = ModelFiles::open(&folder).unwrap();
        let config = expressible(&files.config);
        let exact = match logits(&config, &*files.source) {
            Ok(exact) => exact,
            Err(error) => {
                assert_eq!(error.code, Code::ModelUnsupported, "{name}: {error}");
                println!("left out: {name}: {error}");
                continue;
            }
        };
        let rows = config.size("vocab_size").unwrap();
        for (kind, quantization) in Quantization::NAMES {
            let path = dir.path().join(format!("{name}-{kind}.gguf"));
            let weights = AsStored(&*files.source);
            let mut go_on = |_, _| ControlFlow::Continue(());
            let tokenizer = vocabulary(rows);
            match write_gguf(&path, &name, &config, &tokenizer, &weights, quantization, None, &mut go_on) {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.code, Code::ModelUnsupported, "{name}: {error}");
                    println!("left out: {name}: {error}");
                    break;
                }
            }
            let written = ModelFiles::open(&path).unwrap();
            let rounded = Rounded::new(&*files.source, &*written.source);
            compare_tensors(&name, &rounded, &written);
            let got = logits(&written.config, &*written.source).unwrap();
            let error = relative_error(&got, &logits(&config, &rounded).unwrap());
            println!("{name} {kind}: {error:.2e}, {:.2e} from the unrounded model", relative_error(&got, &exact));
            assert!(error <= TOLERANCE, "{name} {kind}: {error:e}");
            assert_eq!(written.config.eos_token_ids().unwrap(), [2, 3]);
        }
        families.push(config.model_type().unwrap().to_owned());
    }
    families.sort();
    families.dedup();
    println!("families: {}", families.join(", "));
    assert!(families.len() >= 4, "{families:?}");
}

/// Rotations that no model of the set may have; the context is longer than the original one, so that it matters which divisors
/// are taken.
#[test]
fn scaled_rotations_come_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models/llama");
    let files = ModelFiles::open(&folder).unwrap();
    let pairs = files.config.size("head_dim").unwrap() / 2;
    let divisors = |step: f64| (0..pairs).map(|place| 1.0 + step * place as f64).collect::<Vec<f64>>();
    let dir = tempfile::tempdir().unwrap();
    for (scaling, note) in [
        (json!({ "rope_type": "linear", "factor": 3.0 }), None),
        (json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8 }), None),
        (
            json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8, "attention_factor": 1.5,
                    "beta_fast": 16.0, "beta_slow": 2.0 }),
            Some("not this model's 16 and 2"),
        ),
        (
            json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8, "mscale": 0.7,
                    "mscale_all_dim": 0.3 }),
            None,
        ),
        (
            json!({ "rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": 8,
                    "long_factor": divisors(0.7), "short_factor": divisors(0.1) }),
            Some("larger than 8 tokens"),
        ),
    ] {
        let mut map = files.config.as_map().clone();
        let mut rope = scaling.clone();
        rope["rope_theta"] = json!(10_000.0);
        map.insert("rope_parameters".into(), rope);
        let config = ModelConfig::from_json(&folder, Value::Object(map)).unwrap();
        let path = dir.path().join("a.gguf");
        let weights = AsStored(&*files.source);
        let mut go_on = |_, _| ControlFlow::Continue(());
        let rows = config.size("vocab_size").unwrap();
        let (vocabulary, quantization) = (vocabulary(rows), Quantization::F32);
        let notes = write_gguf(&path, "x", &config, &vocabulary, &weights, quantization, None, &mut go_on).unwrap();
        assert_eq!(notes.len(), usize::from(note.is_some()), "{notes:?}");
        assert!(note.is_none_or(|note| notes[0].contains(note)), "{notes:?}");
        let written = ModelFiles::open(&path).unwrap();
        let expected = logits(&config, &*files.source).unwrap();
        assert!(relative_error(&logits(&files.config, &*files.source).unwrap(), &expected) > 1e-3, "{scaling} matters");
        let error = relative_error(&logits(&written.config, &*written.source).unwrap(), &expected);
        assert!(error <= TOLERANCE, "{scaling}: {error:e}");
    }
}

#[test]
fn what_llama_cpp_would_compute_otherwise_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models/qwen2");
    let files = ModelFiles::open(&folder).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gguf");
    let refused = |changes: Value, expected: &str| {
        let mut map = files.config.as_map().clone();
        map.extend(changes.as_object().unwrap().clone());
        let config = ModelConfig::from_json(&folder, Value::Object(map)).unwrap();
        let rows = config.size("vocab_size").unwrap();
        let weights = AsStored(&*files.source);
        let mut go_on = |_, _| ControlFlow::Continue(());
        let written = write_gguf(&path, "x", &config, &vocabulary(rows), &weights, Quantization::F16, None, &mut go_on);
        let error = written.unwrap_err();
        assert!(error.message.contains(expected), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        error.code
    };
    let unsupported = Code::ModelUnsupported;
    assert_eq!(refused(json!({ "model_type": "mamba" }), "mamba"), unsupported);
    assert_eq!(refused(json!({ "hidden_act": "gelu" }), "gelu"), unsupported);
    assert_eq!(
        refused(
            json!({ "sliding_window": 5, "use_sliding_window": true, "max_window_layers": 0, "layer_types": null }),
            "window"
        ),
        unsupported
    );
    assert_eq!(refused(json!({ "logits_scaling": 8.0 }), "logits_scaling"), unsupported);
    assert_eq!(refused(json!({ "head_dim": 10 }), "head_dim"), unsupported);
    let gemma = json!({ "model_type": "gemma2", "head_dim": 16, "query_pre_attn_scalar": 16, "hidden_act": null, "tie_word_embeddings": false, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0 });
    assert_eq!(refused(gemma, "a head tied to the embedding"), unsupported);
    assert_eq!(
        refused(
            json!({ "model_type": "gemma2", "head_dim": 16, "query_pre_attn_scalar": 16, "hidden_act": null, "tie_word_embeddings": true, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0 }),
            "layernorm"
        ),
        Code::FileInvalid
    );
}

#[test]
fn a_stopped_write_leaves_the_old_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models/llama");
    let files = ModelFiles::open(&folder).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gguf");
    std::fs::write(&path, "old").unwrap();
    let rows = files.config.size("vocab_size").unwrap();
    let mut stop =
        |done: u64, total: u64| if done * 2 > total { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let weights = AsStored(&*files.source);
    let written =
        write_gguf(&path, "x", &files.config, &vocabulary(rows), &weights, Quantization::F16, None, &mut stop);
    assert_eq!(written.unwrap_err().code, Code::Aborted);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
