//! Models as users name them, and adapters.

use std::fs;
use std::path::Path;

use crate::common::tensor;
use serde_json::{Value, json};
use tunesmith_formats::{
    AdapterConfig, AdapterFiles, F32Tensor, FactorKind, LoraTensors, ModelFiles, ModuleNames, ModuleTensors,
    TokenizerSource, magnitude_name, read_adapter, saved_name, write_adapter, write_safetensors,
};
use tunesmith_ops::{Code, Error};

fn open_error(dir: &Path) -> Error {
    ModelFiles::open(dir).err().unwrap()
}

fn write(dir: &Path, name: &str, value: &Value) {
    fs::write(dir.join(name), value.to_string()).unwrap();
}

#[test]
fn a_folder_tells_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert_eq!(open_error(&dir.join("absent")).code, Code::FileMissing);
    assert!(open_error(dir).message.contains("config.json"));
    write(dir, "config.json", &json!({ "model_type": "llama", "eos_token_id": 2 }));
    let error = open_error(dir);
    assert_eq!(error.code, Code::FileMissing);
    assert!(error.place.ends_with("model.safetensors"));
    fs::write(dir.join("pytorch_model.bin"), b"\x80\x02").unwrap();
    let error = open_error(dir);
    assert_eq!(error.code, Code::FileInvalid);
    assert!(error.place.ends_with("pytorch_model.bin") && error.message.contains("safetensors"), "{error}");

    write_safetensors(&dir.join("part.safetensors"), &[tensor("a", &[1], &[1.0])]).unwrap();
    write(dir, "model.safetensors.index.json", &json!({ "weight_map": { "a": "part.safetensors" } }));
    let model = ModelFiles::open(dir).unwrap();
    assert!(model.source.contains("a"));
    assert_eq!(model.eos_token_ids, [2]);
    assert_eq!(model.tokenizer, TokenizerSource::Folder(dir.to_path_buf()));

    write_safetensors(&dir.join("model.safetensors"), &[tensor("b", &[1], &[1.0])]).unwrap();
    write(dir, "generation_config.json", &json!({ "eos_token_id": [2, 7] }));
    let model = ModelFiles::open(dir).unwrap();
    assert!(model.source.contains("b"), "one file comes before an index");
    assert_eq!(model.eos_token_ids, [2, 7]);
    fs::write(dir.join("config.json"), "[]").unwrap();
    assert_eq!(open_error(dir).code, Code::ConfigInvalid);
}

#[test]
fn what_is_not_used_of_a_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "config.json", &json!({ "model_type": "llama" }));
    write_safetensors(&dir.join("part.safetensors"), &[tensor("a", &[1], &[1.0])]).unwrap();
    write(dir, "model.safetensors.index.json", &json!({ "weight_map": { "a": "part.safetensors" } }));
    assert!(ModelFiles::open(dir).unwrap().warnings.is_empty());
    let stale: serde_json::Map<String, Value> =
        ["a", "b", "c", "d", "e"].iter().map(|name| ((*name).to_owned(), json!("part.safetensors"))).collect();
    write(dir, "model.safetensors.index.json", &json!({ "weight_map": stale }));
    let warnings = ModelFiles::open(dir).unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].ends_with("not used: `b`, `c`, `d` and 1 more"), "{warnings:?}");
    write_safetensors(&dir.join("model.safetensors"), &[tensor("b", &[1], &[1.0])]).unwrap();
    let warnings = ModelFiles::open(dir).unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("model.safetensors is used"), "{warnings:?}");
}

#[test]
fn the_head_of_a_tied_model_is_its_embedding() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let head = [tensor("lm_head.weight", &[2], &[1.0, 2.0]), tensor("model.norm.weight", &[1], &[3.0])];
    write_safetensors(&dir.join("model.safetensors"), &head).unwrap();
    let names = |tied: Value| {
        write(dir, "config.json", &json!({ "model_type": "llama", "tie_word_embeddings": tied }));
        ModelFiles::open(dir).unwrap().source.names()
    };
    assert_eq!(names(json!(true)), ["model.embed_tokens.weight", "model.norm.weight"]);
    assert_eq!(names(json!(false)), ["lm_head.weight", "model.norm.weight"]);
    assert_eq!(names(json!(null)), ["model.embed_tokens.weight", "model.norm.weight"], "the family may tie it");
    let model = ModelFiles::open(dir).unwrap();
    let mut values = Vec::new();
    model.source.get("model.embed_tokens.weight").unwrap().to_f32(&mut values).unwrap();
    assert_eq!(values, [1.0, 2.0]);
    assert!(!model.source.contains("lm_head.weight"));
}

#[test]
fn a_tied_head_that_is_stored_as_well_with_other_values_is_a_head_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let open = |tied: Value, head: [f32; 2]| {
        let both = [tensor("lm_head.weight", &[2], &head), tensor("model.embed_tokens.weight", &[2], &[1.0, 2.0])];
        write_safetensors(&dir.join("model.safetensors"), &both).unwrap();
        write(dir, "config.json", &json!({ "model_type": "llama", "tie_word_embeddings": tied }));
        let ModelFiles { config, warnings, .. } = ModelFiles::open(dir).unwrap();
        (config.as_map()["tie_word_embeddings"].clone(), warnings)
    };
    assert_eq!(open(json!(true), [1.0, 2.0]), (json!(true), Vec::new()), "one matrix stored twice");
    let (tied, warnings) = open(json!(true), [1.0, 2.5]);
    assert!(tied == false && warnings.len() == 1 && warnings[0].contains("the head is lm_head.weight"), "{warnings:?}");
    for said in [json!(false), json!(null)] {
        assert_eq!(open(said, [1.0, 2.5]), (json!(false), Vec::new()), "nothing was said against it");
    }
}

fn config() -> AdapterConfig {
    AdapterConfig::lora("base", 2, 4.0, false, vec!["v_proj".to_owned(), "q_proj".to_owned()])
}

fn factors<'a>(module: &str, a: &'a [f32], b: &'a [f32]) -> [F32Tensor<'a>; 2] {
    [
        tensor(&FactorKind::Linear.a_name(module), &[2, a.len() / 2], a),
        tensor(&FactorKind::Linear.b_name(module), &[b.len() / 2, 2], b),
    ]
}

#[test]
fn adapters_are_written_as_peft_does() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run").join("adapter");
    let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, 8.0]);
    write_adapter(&dir, &config(), &factors("model.layers.0.self_attn.q_proj", &a, &b)).unwrap();
    let json: Value = serde_json::from_slice(&fs::read(dir.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!(json["peft_type"], "LORA");
    assert_eq!(json["task_type"], "CAUSAL_LM");
    assert_eq!(json["lora_alpha"], json!(4));
    assert_eq!(json["target_modules"], json!(["q_proj", "v_proj"]));
    assert_eq!((&json["bias"], &json["inference_mode"]), (&json!("none"), &json!(true)));
    let (read, modules) = read_adapter(&dir).unwrap();
    assert_eq!(read, config());
    let LoraTensors { kind, a: read_a, b: read_b, .. } = &modules["model.layers.0.self_attn.q_proj"];
    assert_eq!((*kind, modules.len()), (FactorKind::Linear, 1));
    assert_eq!((read_a.data.as_slice(), read_b.data.as_slice()), (&a[..], &b[..]));
    assert_eq!(read.scale().to_bits(), 2.0_f32.to_bits());
    let stabilised = AdapterConfig { use_rslora: true, lora_alpha: 3.5, ..config() };
    assert_eq!(stabilised.scale().to_bits(), ((3.5 / 2.0_f64.sqrt()) as f32).to_bits());
    write_adapter(&dir, &stabilised, &factors("m", &a, &b)).unwrap();
    assert_eq!(read_adapter(&dir).unwrap().0, stabilised);
}

#[test]
fn other_kinds_of_adapter_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_adapter(dir, &config(), &factors("m", &[1.0; 4], &[1.0; 4])).unwrap();
    let good: Value = serde_json::from_slice(&fs::read(dir.join("adapter_config.json")).unwrap()).unwrap();
    let with = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        write(dir, "adapter_config.json", &changed);
        read_adapter(dir).unwrap_err()
    };
    for (key, value) in [
        ("bias", json!("all")),
        ("rank_pattern", json!({ "q_proj": 4 })),
        ("alpha_pattern", json!({ "q_proj": 4 })),
        ("modules_to_save", json!(["lm_head"])),
        ("fan_in_fan_out", json!(true)),
        ("trainable_token_indices", json!([1])),
        ("init_lora_weights", json!("pissa")),
        ("target_parameters", json!(["experts"])),
        ("peft_type", json!("IA3")),
        ("something_of_tomorrow", json!(1)),
    ] {
        let error = with(key, value);
        assert_eq!(error.code, Code::ModelUnsupported, "{key}: {error}");
        assert!(error.message.contains(key), "{error}");
    }
    let error = with("lora_bias", json!(true));
    assert!(error.code == Code::ConfigInvalid && error.message.contains("lora_B.bias"), "{error}");
    for (key, value) in [
        ("r", json!(0)),
        ("r", json!(3)),
        ("r", json!(1e30)),
        ("lora_alpha", json!(1e308)),
        ("lora_alpha", json!(-1)),
        ("lora_dropout", json!(1.0)),
        ("lora_dropout", json!("0.1")),
        ("use_rslora", json!(1)),
        ("use_dora", json!(true)),
        ("target_modules", json!(3)),
        ("target_modules", json!("(")),
        ("exclude_modules", json!([1])),
        ("rank_pattern", json!({ "q_proj": 0 })),
        ("rank_pattern", json!({ "m": 3 })),
        ("rank_pattern", json!({ "(": 3 })),
        ("alpha_pattern", json!([1])),
        ("layers_to_transform", json!([-1])),
        ("layers_pattern", json!("layers")),
    ] {
        assert_eq!(with(key, value).code, Code::ConfigInvalid, "{key}");
    }
}

#[test]
fn keys_without_effect_on_a_trained_adapter_may_have_any_value() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_adapter(dir, &config(), &factors("m", &[1.0; 4], &[1.0; 4])).unwrap();
    let good: Value = serde_json::from_slice(&fs::read(dir.join("adapter_config.json")).unwrap()).unwrap();
    for (key, value) in [
        ("ensure_weight_tying", json!(true)),
        ("eva_config", json!({ "rho": 2.0, "tau": 0.99 })),
        ("init_lora_weights", json!("eva")),
        ("init_lora_weights", json!("orthogonal")),
        ("corda_config", json!({ "cache_file": "x" })),
        ("task_type", json!("SEQ_2_SEQ_LM")),
        ("target_parameters", json!([])),
    ] {
        let mut changed = good.clone();
        changed[key] = value;
        write(dir, "adapter_config.json", &changed);
        assert!(read_adapter(dir).is_ok(), "{key} changes nothing of a trained adapter");
    }
}

/// Everything that goes beyond plain LoRA, written and read back.
#[test]
fn dora_saved_modules_and_patterns_survive() {
    let dir = tempfile::tempdir().unwrap();
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let config = AdapterConfig {
        lora_dropout: 0.1,
        use_dora: true,
        exclude_modules: Some(ModuleNames::Pattern(r".*\.1\..*".to_owned())),
        modules_to_save: names(&["norm", "lm_head"]),
        rank_pattern: vec![("v_proj".to_owned(), 1), ("o_proj".to_owned(), 5)],
        alpha_pattern: vec![("v_proj".to_owned(), 3.0), ("(k|q)_proj".to_owned(), 1.5)],
        layers_to_transform: Some(vec![0, 2]),
        layers_pattern: names(&["layers"]),
        ..config()
    };
    let (q, v) = ("model.layers.0.self_attn.q_proj", "model.layers.2.self_attn.v_proj");
    let ones = [1.0; 6];
    let mut tensors = factors(q, &ones, &ones[..4]).to_vec();
    tensors.push(tensor(&magnitude_name(q), &[2], &[3.0, 4.0]));
    tensors.push(tensor(&FactorKind::Linear.a_name(v), &[1, 3], &ones[..3]));
    tensors.push(tensor(&FactorKind::Linear.b_name(v), &[2, 1], &ones[..2]));
    tensors.push(tensor(&magnitude_name(v), &[2], &[3.0, 4.0]));
    for name in ["lm_head.weight", "lm_head.bias", "model.norm.weight"] {
        tensors.push(tensor(&saved_name(name), &[2], &[5.0, 6.0]));
    }
    write_adapter(dir.path(), &config, &tensors).unwrap();
    let read = AdapterFiles::read(dir.path()).unwrap();
    assert_eq!(read.config, config);
    assert_eq!(read.modules.keys().collect::<Vec<_>>(), ["lm_head", q, v, "model.norm"]);
    let ModuleTensors::Saved(head) = &read.modules["lm_head"] else { panic!("lm_head is saved whole") };
    assert_eq!(head.keys().collect::<Vec<_>>(), ["bias", "weight"]);
    let ModuleTensors::Lora(LoraTensors { a, magnitude, .. }) = &read.modules[v] else { panic!("v_proj is adapted") };
    assert_eq!((a.shape.as_slice(), magnitude.as_ref().unwrap().data.as_slice()), (&[1, 3][..], &[3.0, 4.0][..]));
    let error = read_adapter(dir.path()).unwrap_err();
    assert!(error.code == Code::ModelUnsupported && error.message.contains("use_dora"), "{error}");

    let whole = ["all-linear", ".*proj"].map(|names| match names {
        "all-linear" => ModuleNames::AllLinear,
        pattern => ModuleNames::Pattern(pattern.to_owned()),
    });
    for target_modules in whole {
        let config = AdapterConfig { target_modules, ..AdapterConfig { r: 2, ..AdapterConfig::default() } };
        write_adapter(dir.path(), &config, &factors("m", &ones, &ones)).unwrap();
        assert_eq!(read_adapter(dir.path()).unwrap().0, config);
    }
}

#[test]
fn factors_on_the_embedding_have_names_and_shapes_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (kind, module) = (FactorKind::Embedding, "model.embed_tokens");
    let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, 8.0]);
    let pair = [tensor(&kind.a_name(module), &[2, 3], &a), tensor(&kind.b_name(module), &[1, 2], &b)];
    write_adapter(dir, &config(), &pair).unwrap();
    let (_, modules) = read_adapter(dir).unwrap();
    let factors = &modules[module];
    assert_eq!((factors.kind, factors.weight_shape()), (kind, [3, 1]));
    let [left, right] = factors.product();
    assert_eq!((&left[..], &right[..]), (&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0][..], &b[..]));

    let linear = tensor(&FactorKind::Linear.b_name(module), &[1, 2], &b);
    let error = write_adapter(dir, &config(), &[pair[0].clone(), linear]).unwrap_err();
    assert!(error.code == Code::ConfigInvalid && error.message.contains("one of them"), "{error}");
    let transposed = [tensor(&kind.a_name(module), &[3, 2], &a), pair[1].clone()];
    let error = write_adapter(dir, &config(), &transposed).unwrap_err();
    assert!(error.code == Code::ConfigInvalid && error.message.contains("lora_embedding_A"), "{error}");
    let dora = AdapterConfig { use_dora: true, ..config() };
    let magnitude = tensor(&magnitude_name(module), &[1], &b[..1]);
    let error = write_adapter(dir, &dora, &[pair[0].clone(), pair[1].clone(), magnitude]).unwrap_err();
    assert!(error.code == Code::ModelUnsupported && error.message.contains(module), "{error}");
}

#[test]
fn an_adapter_file_is_whole_and_finite() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let ones = [1.0; 8];
    write_adapter(dir, &config(), &factors("m", &ones, &ones)).unwrap();
    let tensors = dir.join("adapter_model.safetensors");
    write_safetensors(&tensors, &[]).unwrap();
    let error = AdapterFiles::read(dir).unwrap_err();
    assert!(error.code == Code::FileInvalid && error.message.contains("got none"), "{error}");
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let poisoned = [1.0, 1.0, bad, 1.0, 1.0, 1.0, 1.0, 1.0];
        write_safetensors(&tensors, &factors("m", &ones, &poisoned)).unwrap();
        let error = AdapterFiles::read(dir).unwrap_err();
        assert_eq!((error.code, error.place), (Code::NonFinite, FactorKind::Linear.b_name("m")));
    }
}

/// PEFT saves head and embedding along with factors on one of them.
#[test]
fn tensors_of_the_base_are_told_from_those_of_the_adapter() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let ones = [1.0; 8];
    write_adapter(dir, &config(), &factors("lm_head", &ones, &ones)).unwrap();
    let mut tensors = factors("lm_head", &ones, &ones).to_vec();
    for name in ["lm_head.base_layer.weight", "model.embed_tokens.weight"] {
        tensors.push(tensor(&format!("base_model.model.{name}"), &[8], &ones));
    }
    write_safetensors(&dir.join("adapter_model.safetensors"), &tensors).unwrap();
    let read = AdapterFiles::read(dir).unwrap();
    assert_eq!(read.modules.keys().collect::<Vec<_>>(), ["lm_head"]);
    assert_eq!(read.copies.keys().collect::<Vec<_>>(), ["lm_head.weight", "model.embed_tokens.weight"]);
}

#[test]
fn adapter_tensors_must_fit() {
    let dir = tempfile::tempdir().unwrap();
    let ones = [1.0; 8];
    let written = |tensors: &[F32Tensor<'_>]| write_adapter(dir.path(), &config(), tensors).unwrap_err().code;
    let [a, b] = factors("m", &ones, &ones);
    assert_eq!(written(std::slice::from_ref(&a)), Code::ConfigInvalid);
    assert_eq!(written(std::slice::from_ref(&b)), Code::ConfigInvalid);
    assert_eq!(written(&[F32Tensor { shape: vec![4, 2], ..a.clone() }, b.clone()]), Code::ConfigInvalid);
    assert_eq!(written(&[F32Tensor { shape: vec![8], ..a.clone() }, b.clone()]), Code::ConfigInvalid);
    let magnitude = tensor("base_model.model.m.lora_magnitude_vector", &[8], &ones);
    assert_eq!(written(&[a.clone(), b.clone(), magnitude]), Code::ConfigInvalid, "use_dora is false");
    let other = tensor("base_model.model.m.weight", &[8], &ones);
    assert_eq!(written(&[a, b, other]), Code::ModelUnsupported, "nothing is saved whole");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is written of an adapter that cannot be read");

    write(dir.path(), "adapter_config.json", &json!({ "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"] }));
    assert_eq!(read_adapter(dir.path()).unwrap_err().code, Code::FileMissing);
    fs::write(dir.path().join("adapter_model.bin"), b"").unwrap();
    assert!(read_adapter(dir.path()).unwrap_err().place.ends_with("adapter_model.bin"));
}
