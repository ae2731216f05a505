//! The large fixtures: every model folder opens, every adapter is read and written back bit for bit. Skipped, with a line
//! that says so, where `TUNESMITH_FIXTURES` is not given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::{fixtures, subfolders};
use tunesmith_formats::{
    AdapterFiles, AdapterTensor, F32Tensor, FactorKind, LoraTensors, ModelFiles, ModuleTensors, SafetensorsFile,
    TensorSource, TokenizerSource, b_bias_name, bias_name, magnitude_name, read_adapter, saved_name, token_rows_name,
    write_adapter,
};
use tunesmith_ops::Code;

#[test]
fn every_model_folder_opens() {
    let Some(root) = fixtures() else { return };
    let folders = subfolders(&root.join("models"));
    assert!(!folders.is_empty(), "no models under {}", root.display());
    for dir in folders {
        let model = ModelFiles::open(&dir).unwrap();
        assert_eq!(model.tokenizer, TokenizerSource::Folder(dir.clone()));
        let hidden = model.config.size("hidden_size").unwrap();
        let embedding = model.source.get("model.embed_tokens.weight").unwrap();
        assert_eq!(embedding.shape, [model.config.size("vocab_size").unwrap(), hidden], "{}", dir.display());
        assert!(!model.eos_token_ids.is_empty());
        let mut values = Vec::new();
        for name in model.source.names() {
            let tensor = model.source.get(&name).unwrap();
            tensor.to_f32(&mut values).unwrap();
            assert_eq!(values.len(), tensor.shape.iter().product::<usize>(), "{name}");
        }
    }
}

/// All but those of kinds that are not implemented, which are refused as such.
#[test]
fn adapters_survive_reading_and_writing() {
    let Some(root) = fixtures() else { return };
    let mut adapters = Vec::new();
    find_adapters(&root, &mut adapters);
    let mut survived = 0;
    for dir in adapters {
        let text = std::fs::read_to_string(dir.join("adapter_config.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let read = match AdapterFiles::read(&dir) {
            Err(error) if error.code == Code::ModelUnsupported => {
                println!("refused: {error}");
                continue;
            }
            read => read.unwrap(),
        };
        assert!(!read.modules.is_empty());
        survived += 1;
        assert_eq!(Some(read.config.r as u64), json["r"].as_u64());
        check_round_trip(&dir, &read);
        let is_off = |key: &str| json[key] == false || json[key].is_null() || json[key] == serde_json::json!([]);
        let changes_base = json["init_lora_weights"].as_str().is_some_and(|start| {
            let start = start.to_lowercase();
            start.starts_with("pissa") || start == "olora"
        });
        let own = ["use_dora", "modules_to_save", "lora_bias", "trainable_token_indices", "target_parameters"];
        let own = own.into_iter().all(is_off);
        let plain = own && json["bias"] == "none" && !changes_base;
        assert_eq!(read_adapter(&dir).is_ok(), plain, "{}", dir.display());
    }
    assert!(survived > 0, "no adapters under {}", root.display());
}

fn check_round_trip(dir: &Path, read: &AdapterFiles) {
    let mut tensors = Vec::new();
    let mut push = |name: String, tensor: &'_ AdapterTensor| tensors.push((name, tensor.clone()));
    for (module, parts) in &read.modules {
        match parts {
            ModuleTensors::Lora(LoraTensors { kind, a, b, magnitude, bias }) => {
                let path = match module.rsplit_once('.') {
                    Some((experts, parameter)) if *kind == FactorKind::Experts => {
                        read.config.path_of_parameter(experts, parameter)
                    }
                    _ => module.clone(),
                };
                push(kind.a_name(&path), a);
                push(kind.b_name(&path), b);
                magnitude.iter().for_each(|magnitude| push(magnitude_name(module), magnitude));
                bias.iter().for_each(|bias| push(b_bias_name(module), bias));
            }
            ModuleTensors::Saved(parts) => {
                parts.iter().for_each(|(part, tensor)| push(saved_name(&format!("{module}.{part}")), tensor));
            }
        }
    }
    for (module, bias) in &read.biases {
        push(bias_name(module, read.modules.contains_key(module)), bias);
    }
    for (module, rows) in &read.tokens {
        push(token_rows_name(module), rows);
    }
    let views: Vec<F32Tensor<'_>> = tensors
        .iter()
        .map(|(name, tensor)| F32Tensor { name: name.clone(), shape: tensor.shape.clone(), data: &tensor.data })
        .collect();
    let copy = tempfile::tempdir().unwrap();
    write_adapter(copy.path(), &read.config, &views).unwrap();
    // Copies of the base model's tensors are compared with it and not written again.
    let own = AdapterFiles { copies: BTreeMap::new(), ..read.clone() };
    assert!(AdapterFiles::read(copy.path()).unwrap() == own, "{}", dir.display());
    let open = |dir: &Path| SafetensorsFile::open(&dir.join("adapter_model.safetensors")).unwrap();
    let (before, after) = (open(dir), open(copy.path()));
    assert_eq!(after.names().len() + read.copies.len(), before.names().len());
    for name in after.names() {
        assert_eq!(after.get(&name).unwrap().bytes(), before.get(&name).unwrap().bytes(), "{name}");
    }
}

fn find_adapters(dir: &Path, found: &mut Vec<PathBuf>) {
    if dir.join("adapter_config.json").exists() {
        found.push(dir.to_path_buf());
    }
    for folder in subfolders(dir) {
        find_adapters(&folder, found);
    }
}
