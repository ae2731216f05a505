//! `config.json`, read the whole way: file, family, sizes of the engine.

use std::fs;
use std::path::{Path, PathBuf};

use tunesmith_cpu::Cpu;
use tunesmith_engine::WeightOptions;
use tunesmith_engine::config::ModelConfig as EngineConfig;
use tunesmith_engine::load::load as load_weights;
use tunesmith_formats::{ModelConfig, ModelFiles};
use tunesmith_ops::Code;

use super::campaign::campaign;
use super::corpus::{Attack, attack, check, odd};
use super::json::{self, Node, Words};
use super::random::Random;

const WORDS: Words = Words {
    keys: &[
        "model_type",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
        "rms_norm_eps",
        "tie_word_embeddings",
        "max_position_embeddings",
        "hidden_act",
        "attention_bias",
        "mlp_bias",
        "attention_dropout",
        "sliding_window",
        "use_sliding_window",
        "max_window_layers",
        "layer_types",
        "rope_theta",
        "rope_scaling",
        "rope_parameters",
        "rope_type",
        "type",
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
        "partial_rotary_factor",
        "attention_factor",
        "beta_fast",
        "beta_slow",
        "short_factor",
        "long_factor",
        "dtype",
        "torch_dtype",
        "eos_token_id",
        "bos_token_id",
        "quantization_config",
        "attn_logit_softcapping",
        "final_logit_softcapping",
        "query_pre_attn_scalar",
        "layer_norm_eps",
        "no_rope_layers",
        "logits_scaling",
        "embedding_multiplier",
        "residual_multiplier",
        "attention_multiplier",
        "num_experts",
        "num_experts_per_tok",
        "rope_local_base_freq",
        "sliding_window_pattern",
        "",
    ],
    values: &[
        "\"llama\"",
        "\"mistral\"",
        "\"qwen2\"",
        "\"qwen3\"",
        "\"gpt2\"",
        "\"silu\"",
        "\"gelu_pytorch_tanh\"",
        "\"default\"",
        "\"linear\"",
        "\"llama3\"",
        "\"yarn\"",
        "\"longrope\"",
        "\"dynamic\"",
        "\"full_attention\"",
        "\"sliding_attention\"",
        "\"float32\"",
        "\"bfloat16\"",
        "\"float16\"",
        "\"float8_e4m3fn\"",
        "1",
        "2",
        "3",
        "4",
        "16",
        "64",
        "8.0",
        "1e-6",
        "10000.0",
        "[1,0]",
        "[2,3]",
        "null",
        "true",
        "false",
    ],
};

/// The configurations of the project's own tiny models, in both spellings: every family has one.
fn seeds() -> Vec<Node> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures");
    let mut paths: Vec<PathBuf> = ["models", "models-v4-config"]
        .iter()
        .flat_map(|set| super::common::subfolders(&fixtures.join(set)))
        .map(|dir| dir.join("config.json"))
        .filter(|path| path.exists())
        .collect();
    paths.sort();
    let mut seeds: Vec<Node> = paths.iter().map(|path| Node::parse(&fs::read_to_string(path).unwrap())).collect();
    seeds.push(Node::parse(
        r#"{"model_type":"llama","hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":null,"vocab_size":32,"rms_norm_eps":1e-06,"rope_parameters":{"factor":8.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":64,"rope_theta":10000.0,"rope_type":"llama3"},"tie_word_embeddings":false,"torch_dtype":"float32","eos_token_id":[2,3],"layer_types":["full_attention","full_attention"]}"#,
    ));
    seeds
}

/// Reads a configuration the whole way; what is accepted must be usable.
fn read(path: &Path) -> Result<(), Code> {
    let config = ModelConfig::read(path).map_err(|error| error.code)?;
    let _ = (config.eos_token_ids(), config.dtype());
    let model = EngineConfig::new(&config).map_err(|error| error.code)?;
    assert!(model.hidden > 0 && model.heads > 0 && model.kv_heads > 0 && model.layers > 0 && model.vocab > 0);
    assert!(model.heads.is_multiple_of(model.kv_heads) && model.head_dim > 0 && model.head_dim.is_multiple_of(2));
    assert!(model.eps > 0.0 && model.eps.is_finite());
    for layer in [0, model.layers - 1] {
        let attention = model.attention(layer);
        assert!(attention.scale.is_finite() && attention.scale > 0.0);
    }
    Ok(())
}

#[test]
fn mutations() {
    let (dir, seeds) = (tempfile::tempdir().unwrap(), seeds());
    let path = dir.path().join("config.json");
    let make = |random: &mut Random| {
        let seed = random.below(seeds.len());
        json::mutated(random, &seeds[seed], &WORDS)
    };
    campaign("config", &path, make, |_| read(&path).is_ok());
}

#[test]
fn made_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    check("config", &attacks(), |bytes| {
        fs::write(&path, bytes).unwrap();
        read(&path)
    });
}

/// A configuration that promises more than the weights beside it hold is refused before anything is allocated for it.
#[test]
fn sizes_beyond_the_weights() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models/llama");
    let dir = tempfile::tempdir().unwrap();
    fs::copy(model.join("model.safetensors"), dir.path().join("model.safetensors")).unwrap();
    let good: serde_json::Value = serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
    let backend = Cpu::new(1).unwrap();
    let load = |config: &serde_json::Value| {
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let open = || {
            let files = ModelFiles::open(dir.path())?;
            let config = EngineConfig::new(&files.config)?;
            load_weights(&backend, &*files.source, false, &WeightOptions::default(), config).map(drop)
        };
        super::campaign::checked(&[], open).unwrap().err()
    };
    assert!(load(&good).is_none());
    for key in ["hidden_size", "vocab_size", "intermediate_size", "num_attention_heads"] {
        for size in [1_u64, 60_000, (1 << 31) - 1] {
            let mut config = good.clone();
            config[key] = size.into();
            let error = load(&config).unwrap_or_else(|| panic!("{key} {size} was accepted"));
            assert!([Code::ConfigInvalid, Code::FileInvalid].contains(&error.code), "{key} {size}: {error}");
        }
    }
    let mut deeper = good.clone();
    deeper["num_hidden_layers"] = 10_000.into();
    assert_eq!(load(&deeper).unwrap().code, Code::FileInvalid);
}

fn attacks() -> Vec<Attack> {
    [documents(), sizes(), kinds(), rotations()].into_iter().flatten().collect()
}

/// A plain configuration with some keys written over.
fn with(changes: &str) -> String {
    let mut config: serde_json::Value = serde_json::json!({
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 32, "rms_norm_eps": 1e-6,
    });
    let changes: serde_json::Value = serde_json::from_str(changes).unwrap();
    config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config.to_string()
}

fn documents() -> Vec<Attack> {
    use Code::{ConfigInvalid as Config, FileInvalid as Invalid, ModelUnsupported as Unsupported};
    let literal = |name: &str, key: &str, literal: &str| {
        attack(name, with("{}").replacen('{', &format!("{{\"{key}\":{literal},"), 1), Config)
    };
    vec![
        attack("empty.json", "", Config),
        attack("list.json", "[]", Config),
        attack("not-json.json", "model_type: llama", Config),
        attack("not-utf8.json", b"{\"model_type\":\"\xff\"}", Config),
        attack("truncated.json", &with("{}")[..40], Config),
        attack("trailing-comma.json", with("{}").replace('}', ",}"), Config),
        attack("two-documents.json", with("{}").repeat(2), Config),
        attack("byte-order-mark.json", format!("\u{feff}{}", with("{}")), Config),
        attack("nested-100000-deep.json", format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)), Config),
        attack("2-mb.json", format!("{}{}", with("{}"), " ".repeat(2 << 20)), Invalid),
        attack("half-a-million-zeros.json", format!("[{}0]", "0,".repeat((1 << 19) - 2)), Config),
        literal("nan.json", "attention_dropout", "NaN"),
        literal("infinity.json", "rope_theta", "Infinity"),
        literal("minus-infinity.json", "rope_theta", "-Infinity"),
        literal("number-1e400.json", "rope_theta", "1e400"),
        attack("no-keys.json", "{}", Config),
        attack("family-unknown.json", with(r#"{"model_type":"llama99"}"#), Unsupported),
        attack("family-a-path.json", with(r#"{"model_type":"../../llama"}"#), Unsupported),
        attack("family-a-number.json", with(r#"{"model_type":7}"#), Config),
        attack("family-null.json", with(r#"{"model_type":null}"#), Config),
        attack(
            "code-of-its-own.json",
            with(r#"{"model_type":"custom","auto_map":{"AutoModel":"evil.Model"}}"#),
            Unsupported,
        ),
        odd("unknown-keys.json", with(r#"{"__proto__":{"x":1},"auto_map":{"AutoModel":"evil.Model"}}"#)),
    ]
}

fn sizes() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for key in ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"] {
        for (what, value) in [
            ("zero", "0"),
            ("negative", "-4"),
            ("fraction", "4.5"),
            ("text", "\"64\""),
            ("list", "[64]"),
            ("1e308", "1e308"),
            ("2-to-31", "2147483648"),
            ("2-to-64", "18446744073709551615"),
            ("absent", "null"),
        ] {
            let name = format!("{}-{what}.json", key.replace('_', "-"));
            attacks.push(attack(&name, with(&format!("{{\"{key}\":{value}}}")), Code::ConfigInvalid));
        }
    }
    let config = |name: &str, changes: &str| attack(name, with(changes), Code::ConfigInvalid);
    attacks.extend([
        config("layers-2-to-31-less-1.json", r#"{"num_hidden_layers":2147483647}"#),
        config("head-size-2-to-31-less-2.json", r#"{"head_dim":2147483646}"#),
        config("head-size-odd.json", r#"{"head_dim":15}"#),
        config("head-size-zero.json", r#"{"head_dim":0}"#),
        config("more-heads-than-elements.json", r#"{"hidden_size":2,"num_attention_heads":4}"#),
        config("heads-do-not-divide.json", r#"{"num_key_value_heads":3}"#),
        config("more-key-heads-than-heads.json", r#"{"num_key_value_heads":8}"#),
        config("key-heads-zero.json", r#"{"num_key_value_heads":0}"#),
        config("eps-zero.json", r#"{"rms_norm_eps":0}"#),
        config("eps-negative.json", r#"{"rms_norm_eps":-1e-6}"#),
        config("eps-1e308.json", r#"{"rms_norm_eps":1e308}"#),
        config("eps-vanishing.json", r#"{"rms_norm_eps":1e-320}"#),
        config("eps-text.json", r#"{"rms_norm_eps":"1e-6"}"#),
    ]);
    attacks
}

fn kinds() -> Vec<Attack> {
    let config = |name: &str, changes: &str| attack(name, with(changes), Code::ConfigInvalid);
    let unsupported = |name: &str, changes: &str| attack(name, with(changes), Code::ModelUnsupported);
    vec![
        config("tied-a-number.json", r#"{"tie_word_embeddings":1}"#),
        config("tied-a-text.json", r#"{"tie_word_embeddings":"false"}"#),
        config("bias-a-text.json", r#"{"attention_bias":"yes"}"#),
        config("positions-negative.json", r#"{"max_position_embeddings":-1}"#),
        config("activation-a-list.json", r#"{"hidden_act":["silu"]}"#),
        unsupported("activation-unknown.json", r#"{"hidden_act":"relu6"}"#),
        config("window-negative.json", r#"{"model_type":"mistral","sliding_window":-1}"#),
        config("window-zero.json", r#"{"model_type":"mistral","sliding_window":0}"#),
        config(
            "layer-types-too-few.json",
            r#"{"model_type":"mistral","sliding_window":8,"layer_types":["full_attention"]}"#,
        ),
        config("layer-types-numbers.json", r#"{"model_type":"mistral","sliding_window":8,"layer_types":[1,2]}"#),
        unsupported(
            "layer-types-unknown.json",
            r#"{"model_type":"mistral","sliding_window":8,"layer_types":["linear_attention","full_attention"]}"#,
        ),
    ]
}

fn rotations() -> Vec<Attack> {
    let config = |name: &str, changes: &str| attack(name, with(changes), Code::ConfigInvalid);
    let unsupported = |name: &str, changes: &str| attack(name, with(changes), Code::ModelUnsupported);
    vec![
        config("theta-zero.json", r#"{"rope_theta":0}"#),
        config("theta-negative.json", r#"{"rope_theta":-10000.0}"#),
        config("theta-1e308.json", r#"{"rope_theta":1e308}"#),
        config("theta-text.json", r#"{"rope_theta":"10000"}"#),
        config("theta-twice.json", r#"{"rope_theta":10000.0,"rope_parameters":{"rope_theta":1.0}}"#),
        config("rotation-a-list.json", r#"{"rope_parameters":[]}"#),
        config("rotation-type-a-number.json", r#"{"rope_parameters":{"rope_type":3}}"#),
        unsupported("rotation-unknown.json", r#"{"rope_scaling":{"type":"spiral","factor":2.0}}"#),
        config("factor-zero.json", r#"{"rope_scaling":{"type":"linear","factor":0}}"#),
        config("factor-below-1.json", r#"{"rope_scaling":{"type":"linear","factor":0.5}}"#),
        config("factor-1e308.json", r#"{"rope_scaling":{"type":"linear","factor":1e308}}"#),
        config("factor-absent.json", r#"{"rope_scaling":{"type":"linear"}}"#),
        config(
            "frequency-factors-equal.json",
            r#"{"rope_parameters":{"rope_type":"llama3","factor":8.0,"low_freq_factor":4.0,"high_freq_factor":4.0,"original_max_position_embeddings":64}}"#,
        ),
        config(
            "original-length-a-fraction.json",
            r#"{"rope_parameters":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64.5}}"#,
        ),
        unsupported("rotation-of-a-part.json", r#"{"partial_rotary_factor":0.0}"#),
    ]
}
