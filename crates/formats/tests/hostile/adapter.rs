//! Adapters: `adapter_config.json` and the tensors beside it.

use std::fs;
use std::path::Path;

use tunesmith_formats::{AdapterConfig, F32Tensor, FactorKind, ModelFiles, read_adapter, write_adapter};
use tunesmith_ops::Code;

use super::campaign::{campaign, checked};
use super::common::tensor;
use super::corpus::{Attack, attack, check, odd};
use super::json::{self, Node, Words};
use super::random::Random;
use super::safetensors;

const WORDS: Words = Words {
    keys: &[
        "r",
        "lora_alpha",
        "lora_dropout",
        "target_modules",
        "use_rslora",
        "use_dora",
        "modules_to_save",
        "rank_pattern",
        "alpha_pattern",
        "layers_to_transform",
        "layers_pattern",
        "exclude_modules",
        "bias",
        "fan_in_fan_out",
        "peft_type",
        "task_type",
        "init_lora_weights",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "megatron_config",
        "loftq_config",
        "eva_config",
        "trainable_token_indices",
        "q_proj",
        "",
    ],
    values: &[
        "\"LORA\"",
        "\"IA3\"",
        "\"none\"",
        "\"all\"",
        "\"lora_only\"",
        "\"all-linear\"",
        "\"CAUSAL_LM\"",
        "\"pissa\"",
        "[\"q_proj\"]",
        "[\"q_proj\",\"v_proj\"]",
        "\".*q_proj\"",
        "\"(a*)*b\"",
        "\"[\"",
        "[0]",
        "[\"lm_head\"]",
        "{\"q_proj\":4}",
        "{\"q_proj\":0}",
        "{\"(a*)*b\":2}",
        "2",
        "4",
        "0.1",
        "true",
        "false",
        "null",
        "\"../../base\"",
    ],
};
const MODULE: &str = "model.layers.0.self_attn.q_proj";
const EMBEDDING: &str = "model.embed_tokens";

/// An adapter of rank 2 on a linear layer and the embedding.
fn write(dir: &Path) -> (Vec<u8>, Vec<u8>) {
    let config = AdapterConfig::lora("base", 2, 4.0, true, vec!["q_proj".to_owned(), "embed_tokens".to_owned()]);
    let ones = [1.0; 8];
    let tensors: [F32Tensor<'_>; 4] = [
        tensor(&FactorKind::Linear.a_name(MODULE), &[2, 4], &ones),
        tensor(&FactorKind::Linear.b_name(MODULE), &[4, 2], &ones),
        tensor(&FactorKind::Embedding.a_name(EMBEDDING), &[2, 3], &ones[..6]),
        tensor(&FactorKind::Embedding.b_name(EMBEDDING), &[4, 2], &ones),
    ];
    write_adapter(dir, &config, &tensors).unwrap();
    (fs::read(dir.join("adapter_config.json")).unwrap(), fs::read(dir.join("adapter_model.safetensors")).unwrap())
}

/// Reads an adapter; what is accepted must have a rank, a finite scale and factors of one product.
fn read(dir: &Path) -> Result<(), Code> {
    let (config, modules) = read_adapter(dir).map_err(|error| error.code)?;
    assert!(config.r > 0 && config.scale().is_finite());
    for factors in modules.values() {
        assert_eq!(factors.product().map(|factor| factor.len()), factors.weight_shape().map(|side| side * config.r));
    }
    Ok(())
}

#[test]
fn mutations() {
    let dir = tempfile::tempdir().unwrap();
    let (config, _) = write(dir.path());
    let (path, seed) = (dir.path().join("adapter_config.json"), Node::parse(std::str::from_utf8(&config).unwrap()));
    let make = |random: &mut Random| json::mutated(random, &seed, &WORDS);
    campaign("adapter-config", &path, make, |_| read(dir.path()).is_ok());
}

#[test]
fn mutations_of_the_tensors() {
    let dir = tempfile::tempdir().unwrap();
    let (_, file) = write(dir.path());
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header = Node::parse(std::str::from_utf8(&file[8..8 + length]).unwrap());
    let (path, seed) = (dir.path().join("adapter_model.safetensors"), (header, file[8 + length..].to_vec()));
    let make = |random: &mut Random| safetensors::mutated(random, &seed);
    campaign("adapter-tensors", &path, make, |_| read(dir.path()).is_ok());
}

#[test]
fn made_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    check("adapter-config", &attacks(), |bytes| {
        fs::write(dir.path().join("adapter_config.json"), bytes).unwrap();
        read(dir.path())
    });
}

/// Pickled weights are named and never opened, whatever they are called, in model folders and in adapter folders.
#[test]
fn pickles_are_named_and_never_read() {
    for name in ["pytorch_model.bin", "adapter_model.bin", "model.pt", "weights.PTH", "last.ckpt", "model.pkl"] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        fs::remove_file(dir.path().join("adapter_model.safetensors")).unwrap();
        fs::write(dir.path().join("config.json"), r#"{"model_type":"llama"}"#).unwrap();
        // One that would make a folder if anything in this process unpickled it.
        let made = dir.path().join("made-by-the-pickle");
        let pickle = format!("cos\nmkdir\n(V{}\ntR.", made.display());
        fs::write(dir.path().join(name), &pickle).unwrap();
        let answers = [
            checked(&[], || read_adapter(dir.path()).map(drop)).unwrap(),
            checked(&[], || ModelFiles::open(dir.path()).map(drop)).unwrap(),
            checked(&[], || ModelFiles::open(&dir.path().join(name)).map(drop)).unwrap(),
        ];
        for answer in answers {
            let error = answer.unwrap_err();
            assert_eq!(error.code, Code::FileInvalid, "{name}: {error}");
            assert!(error.place.ends_with(name) && error.message.contains("safetensors"), "{name}: {error}");
        }
        assert!(!made.exists());
    }
}

fn attacks() -> Vec<Attack> {
    use Code::{ConfigInvalid as Config, FileInvalid as Invalid, ModelUnsupported as Unsupported};
    let with = |changes: &str| {
        let mut config = serde_json::json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "base", "r": 2, "lora_alpha": 4,
            "lora_dropout": 0.0, "bias": "none", "target_modules": ["q_proj"],
        });
        let changes: serde_json::Value = serde_json::from_str(changes).unwrap();
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        config.to_string()
    };
    let config = |name: &str, changes: &str| attack(name, with(changes), Config);
    let unsupported = |name: &str, changes: &str| attack(name, with(changes), Unsupported);
    vec![
        attack("empty.json", "", Config),
        attack("list.json", "[]", Config),
        attack("no-keys.json", "{}", Config),
        attack("truncated.json", &with("{}")[..50], Config),
        attack("2-mb.json", format!("{}{}", with("{}"), " ".repeat(2 << 20)), Invalid),
        attack("nested-100000-deep.json", format!("{{\"r\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)), Config),
        attack("alpha-nan.json", with("{}").replace(":4,", ":NaN,"), Config),
        attack("alpha-infinity.json", with("{}").replace(":4,", ":Infinity,"), Config),
        attack("alpha-1e400.json", with("{}").replace(":4,", ":1e400,"), Config),
        config("alpha-1e308.json", r#"{"lora_alpha":1e308}"#),
        config("alpha-negative.json", r#"{"lora_alpha":-1}"#),
        config("alpha-text.json", r#"{"lora_alpha":"4"}"#),
        config("rank-0.json", r#"{"r":0}"#),
        config("rank-negative.json", r#"{"r":-2}"#),
        config("rank-fraction.json", r#"{"r":2.5}"#),
        config("rank-text.json", r#"{"r":"2"}"#),
        config("rank-null.json", r#"{"r":null}"#),
        config("rank-1e308.json", r#"{"r":1e308}"#),
        config("rank-2-to-31-less-1.json", r#"{"r":2147483647}"#),
        config("rank-2-to-64.json", r#"{"r":18446744073709551616}"#),
        config("rank-of-other-tensors.json", r#"{"r":3}"#),
        config("dropout-1.json", r#"{"lora_dropout":1.0}"#),
        config("dropout-negative.json", r#"{"lora_dropout":-0.1}"#),
        config("dropout-text.json", r#"{"lora_dropout":"0.1"}"#),
        config("rslora-a-number.json", r#"{"use_rslora":1}"#),
        unsupported("type-unknown.json", r#"{"peft_type":"LORA2"}"#),
        unsupported("type-a-number.json", r#"{"peft_type":1}"#),
        unsupported("type-null.json", r#"{"peft_type":null}"#),
        unsupported("bias-unknown.json", r#"{"bias":"some"}"#),
        unsupported("start-by-quantisation.json", r#"{"init_lora_weights":"loftq"}"#),
        unsupported("key-of-tomorrow.json", r#"{"use_everything":true}"#),
        odd("base-a-path.json", with(r#"{"base_model_name_or_path":"../../etc"}"#)),
    ]
}
