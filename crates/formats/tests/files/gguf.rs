//! The GGUF reader against files made by a writer of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::gguf::{GgufWriter, Item, tiny};
use serde_json::json;
use tunesmith_formats::{
    AdapterConfig, AdapterTensor, FactorKind, GgufFile, LoraTensors, ModelConfig, ModelFiles, Quantization, RopeRules,
    RopeScaling, StoredType, TensorSource, TokenizerSource, write_gguf_lora,
};
use tunesmith_ops::{Code, Error};

/// A file that lies in a folder of its own and vanishes with it.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn refused(bytes: &[u8]) -> Error {
    GgufFile::open(&file(bytes).1).unwrap_err()
}

fn values(model: &GgufFile, name: &str) -> Vec<f32> {
    let mut out = Vec::new();
    model.get(name).unwrap().to_f32(&mut out).unwrap();
    out
}

#[test]
fn configuration_and_tokenizer_are_those_of_hugging_face() {
    let (dir, path) = file(&tiny("llama").bytes());
    let model = ModelFiles::open(&path).unwrap();
    let expected = json!({
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "hidden_act": "silu",
        "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
        "rope_parameters": { "rope_type": "default", "rope_theta": 10000.0 },
        "sliding_window": null, "vocab_size": 8, "tie_word_embeddings": true, "attention_bias": false,
        "mlp_bias": false, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": null,
    });
    assert_eq!(serde_json::Value::Object(model.config.as_map().clone()), expected);
    assert_eq!(model.eos_token_ids, [1]);
    let TokenizerSource::Gguf(tokenizer) = model.tokenizer else { panic!("no tokenizer") };
    assert_eq!(tokenizer.model, "gpt2");
    assert_eq!(tokenizer.pre.as_deref(), Some("smollm"));
    assert_eq!(tokenizer.tokens[5], "é");
    assert_eq!((tokenizer.token_types[0], tokenizer.merges[0].as_str()), (3, "a b"));
    assert_eq!((tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.add_bos_token), (Some(0), None, Some(false)));
    assert_eq!(tokenizer.chat_template.as_deref(), Some("{{ messages }}"));
    // The folder that holds nothing else is as good a name for the model.
    assert_eq!(ModelFiles::open(dir.path()).unwrap().config, ModelFiles::open(&path).unwrap().config);
    fs::write(dir.path().join("other.gguf"), b"").unwrap();
    assert_eq!(ModelFiles::open(dir.path()).err().unwrap().code, Code::ArgumentInvalid);
}

/// llama.cpp's converter turns row (head, half, index) into row (head, index, half) where the architecture is `llama`.
#[test]
fn rotated_rows_are_put_back_for_llama_only() {
    let expected = |rows: usize, natural: bool| -> Vec<f32> {
        (0..rows)
            .flat_map(|row| {
                let (head, half, index) = (row / 16, row % 16 / 8, row % 8);
                let source = if natural { row } else { head * 16 + index * 2 + half };
                (0..32).map(move |column| (source * 32 + column) as f32)
            })
            .collect()
    };
    for (architecture, natural) in [("llama", false), ("qwen2", true), ("qwen3", true)] {
        let (_dir, path) = file(&tiny(architecture).bytes());
        let model = GgufFile::open(&path).unwrap();
        assert_eq!(values(&model, "model.layers.0.self_attn.q_proj.weight"), expected(32, natural));
        assert_eq!(values(&model, "model.layers.0.self_attn.k_proj.weight"), expected(16, natural));
        assert_eq!(values(&model, "model.layers.0.self_attn.v_proj.weight"), expected(16, true));
        assert_eq!(model.config().model_type().unwrap(), architecture);
    }
}

#[test]
fn biases_are_rotated_with_their_rows() {
    let (_dir, path) = file(&tiny("llama").ramp("blk.0.attn_q.bias", &[32], 0.0).bytes());
    let model = GgufFile::open(&path).unwrap();
    let bias = values(&model, "model.layers.0.self_attn.q_proj.bias");
    assert_eq!(bias[..10], [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 1.0, 3.0]);
    assert!(model.config().flag("attention_bias", false).unwrap());
}

#[test]
fn every_type_is_read_and_rotated_by_rows() {
    let half = |value: f32| half::f16::from_f32(value).to_le_bytes();
    // Row r of every matrix holds r in each element.
    let row = |kind: u32, row: u8| -> Vec<u8> {
        let value = f32::from(row);
        match kind {
            0 => value.to_le_bytes().repeat(32),
            1 => half(value).repeat(32),
            2 => [half(value).to_vec(), vec![0x99; 16]].concat(),
            3 => [half(0.5).to_vec(), half(value).to_vec(), vec![0; 16]].concat(),
            8 => [half(value).to_vec(), vec![1; 32]].concat(),
            _ => half::bf16::from_f32(value).to_le_bytes().repeat(32),
        }
    };
    let stored = [
        (0, StoredType::F32),
        (1, StoredType::F16),
        (2, StoredType::Q4_0),
        (3, StoredType::Q4_1),
        (8, StoredType::Q8_0),
        (30, StoredType::Bf16),
    ];
    for (kind, stored) in stored {
        let mut writer = tiny("llama");
        writer.tensors.retain(|tensor| tensor.name != "blk.0.attn_k.weight");
        let bytes = (0..16).flat_map(|index| row(kind, index)).collect();
        let (_dir, path) = file(&writer.tensor("blk.0.attn_k.weight", &[32, 16], kind, bytes).bytes());
        let model = GgufFile::open(&path).unwrap();
        let tensor = model.get("model.layers.0.self_attn.k_proj.weight").unwrap();
        assert_eq!((tensor.stored, tensor.shape.as_slice()), (stored, [16, 32].as_slice()));
        let first_of_row: Vec<f32> = values(&model, tensor.name).iter().step_by(32).copied().collect();
        let expected: Vec<f32> = [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15].map(|row| row as f32).to_vec();
        assert_eq!(first_of_row, expected, "{stored:?}");
        let mut piece = Vec::new();
        tensor.rows_to_f32(7, 2, &mut piece).unwrap();
        assert_eq!((piece[0], piece[63], piece.len()), (14.0, 1.0, 64));
    }
}

#[test]
fn version_two_own_alignment_and_own_head() {
    let mut writer = tiny("llama").item("general.alignment", Item::U32(64)).ramp("output.weight", &[32, 8], 5.0);
    (writer.version, writer.alignment) = (2, 64);
    let (_dir, path) = file(&writer.bytes());
    let model = GgufFile::open(&path).unwrap();
    assert_eq!(values(&model, "lm_head.weight")[..2], [5.0, 6.0]);
    assert!(!model.config().flag("tie_word_embeddings", true).unwrap());
}

#[test]
fn rotary_scaling_is_read_or_refused() {
    let scaling = |writer: GgufWriter| {
        let (_dir, path) = file(&writer.bytes());
        GgufFile::open(&path).and_then(|model| model.config().rope(RopeRules::plain(1.0))).map(|rope| rope.full.scaling)
    };
    let linear = tiny("llama")
        .item("llama.rope.scaling.type", Item::Text("linear"))
        .item("llama.rope.scaling.factor", Item::F32(4.0));
    assert_eq!(scaling(linear).unwrap(), RopeScaling::Linear { factor: 4.0 });
    let bytes = |divisors: &[f32]| divisors.iter().flat_map(|divisor| divisor.to_le_bytes()).collect::<Vec<u8>>();
    // Llama 3's rule for the wavelengths 2π·10000^(i/8) with factor 8 and an original length of 64.
    let divisors = [1.0, 1.293_975_8, 7.667_385, 8.0, 8.0, 8.0, 8.0, 8.0];
    let llama3 = tiny("llama").tensor("rope_freqs.weight", &[8], 0, bytes(&divisors));
    let expected = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 64,
    };
    assert_eq!(scaling(llama3).unwrap(), expected);
    let yarn = tiny("llama")
        .item("llama.rope.scaling.type", Item::Text("yarn"))
        .item("llama.rope.scaling.factor", Item::F32(4.0))
        .item("llama.rope.scaling.original_context_length", Item::U32(64));
    let RopeScaling::Yarn(read) = scaling(yarn).unwrap() else { panic!("no YaRN") };
    assert_eq!((read.factor, read.original_max_position_embeddings), (4.0, 64));
    assert_eq!((read.beta_fast, read.beta_slow, read.attention_factor), (32.0, 1.0, None));
    let factors = |writer: GgufWriter, name: &str, first: f32| writer.ramp(name, &[8], first);
    let long = factors(tiny("llama"), "rope_factors_long.weight", 2.0);
    let long = factors(long, "rope_factors_short.weight", 1.0)
        .item("llama.rope.scaling.original_context_length", Item::U32(64))
        .item("llama.rope.scaling.attn_factor", Item::F32(1.25));
    let RopeScaling::LongRope(read) = scaling(long).unwrap() else { panic!("no LongRoPE") };
    assert_eq!((read.long_factor[7], read.short_factor[0], read.attention_factor), (9.0, 1.0, Some(1.25)));
    for strange in [
        tiny("llama").item("llama.rope.scaling.type", Item::Text("dynamic")),
        tiny("llama").item("llama.rope.scaling.yarn_log_multiplier", Item::F32(0.1)),
        tiny("llama").tensor("rope_freqs.weight", &[8], 0, bytes(&[0.5; 8])),
        tiny("llama").tensor("rope_freqs.weight", &[4], 0, bytes(&[1.0; 4])),
    ] {
        assert_eq!(scaling(strange).unwrap_err().code, Code::ModelUnsupported);
    }
}

#[test]
fn what_is_not_implemented_is_named() {
    let named = |writer: GgufWriter, name: &str| {
        let error = refused(&writer.bytes());
        assert_eq!(error.code, Code::ModelUnsupported, "{error}");
        assert!(error.message.contains(name), "{error}");
    };
    named(tiny("bert"), "bert");
    named(tiny("llama").tensor("blk.0.extra.weight", &[256], 10, vec![0; 84]), "Q2_K");
    named(tiny("llama").ramp("blk.0.ffn_gate_inp.weight", &[32], 0.0), "blk.0.ffn_gate_inp.weight");
    named(tiny("llama").item("llama.expert_count", Item::U32(8)), "8 experts");
    named(tiny("qwen2").item("qwen2.attention.sliding_window", Item::U32(64)), "sliding window");
    let mut old = tiny("llama");
    old.version = 1;
    named(old, "version 2 or 3");
    let mut swapped = tiny("llama");
    swapped.version = 3_u32.swap_bytes();
    named(swapped, "big-endian");
}

#[test]
fn a_part_of_a_model_or_another_kind_of_file_is_named() {
    let part = tiny("llama").item("split.no", Item::Raw(2, vec![1, 0])).item("split.count", Item::Raw(2, vec![3, 0]));
    let error = refused(&part.bytes());
    assert!(error.code == Code::ModelUnsupported && error.message.contains("part 2 of 3"), "{error}");
    let whole = tiny("llama").item("split.count", Item::U32(1)).item("general.type", Item::Text("model"));
    GgufFile::open(&file(&whole.bytes()).1).unwrap();
    let error = refused(&tiny("llama").item("general.type", Item::Text("adapter")).bytes());
    assert!(error.code == Code::ModelUnsupported && error.message.contains("\"adapter\""), "{error}");
}

/// The file of [`tiny`] without a key.
fn without(key: &str) -> GgufWriter {
    let mut writer = tiny("llama");
    writer.items.retain(|(name, _)| name != key);
    writer
}

#[test]
fn a_tokenizer_that_is_not_whole_is_refused_or_named() {
    let (_dir, path) = file(&without("tokenizer.ggml.merges").bytes());
    let error = ModelFiles::open(&path).err().unwrap();
    assert!(error.code == Code::FileInvalid && error.message.contains("merges"), "{error}");
    let empty = without("tokenizer.ggml.merges").item("tokenizer.ggml.merges", Item::Texts(Vec::new()));
    assert!(ModelFiles::open(&file(&empty.bytes()).1).is_err(), "a list of none is as little");
    let bytes_alone = without("tokenizer.ggml.merges");
    let mut bytes_alone = GgufWriter { items: bytes_alone.items, ..bytes_alone };
    for (name, item) in &mut bytes_alone.items {
        if name == "tokenizer.ggml.tokens" {
            *item = Item::Texts(vec!["<s>", "</s>", "a", "b", "e", "é", "c", "d"]);
        }
    }
    assert!(ModelFiles::open(&file(&bytes_alone.bytes()).1).unwrap().warnings.is_empty(), "nothing is merged here");
    let (_dir, path) = file(&without("tokenizer.ggml.pre").bytes());
    let warnings = ModelFiles::open(&path).unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("tokenizer.ggml.pre"), "{warnings:?}");
}

/// What is said of a value is in the format's words, and never what was expected.
#[test]
fn values_of_another_type_are_described() {
    let described = |key: &str, item: Item, said: &str| {
        let error = ModelFiles::open(&file(&without(key).item(key, item).bytes()).1).err().unwrap();
        assert!(error.message.contains(key) && error.message.contains(said), "{error}");
    };
    described("llama.block_count", Item::F32(3.0), "got the float 3");
    described("llama.block_count", Item::Text("three"), "got \"three\"");
    described("llama.block_count", Item::I32s(vec![3]), "got 1 elements of type int32");
    described("llama.block_count", Item::Raw(5, (-3_i32).to_le_bytes().to_vec()), "got the int32 -3");
    described("llama.block_count", Item::U32(0), "got 0");
    described("general.alignment", Item::Raw(10, 32_u64.to_le_bytes().to_vec()), "got the uint64 32");
    described("llama.attention.layer_norm_rms_epsilon", Item::U32(1), "expected a finite float");
    described("tokenizer.ggml.tokens", Item::I32s(vec![1, 2]), "got 2 elements of type int32");
    let scaled = |kind| tiny("llama").item("llama.rope.scaling.type", Item::Text(kind));
    for (writer, said) in [
        (scaled("yarn").ramp("rope_freqs.weight", &[8], 1.0), "expected no tensors rope_freqs.weight"),
        (scaled("longrope"), "expected the tensors"),
        (scaled("dynamic"), "got dynamic"),
    ] {
        let error = refused(&writer.bytes());
        assert!(error.message.contains(said), "{error}");
    }
}

#[test]
fn tensors_in_the_same_bytes_are_refused() {
    let mut writer = tiny("llama");
    let offsets: Vec<usize> = writer.tensors.iter().map(|tensor| tensor.bytes.len()).collect();
    let last = offsets.len() - 1;
    // The row of the last tensor is the one before the data: its offset is that of the tensor before it.
    let (before, here): (usize, usize) = (offsets[..last - 1].iter().sum(), offsets[..last].iter().sum());
    let bytes = writer.bytes();
    let find = (here as u64).to_le_bytes();
    let place = bytes.windows(8).rposition(|window| window == find).unwrap();
    let mut moved = bytes.clone();
    moved[place..place + 8].copy_from_slice(&(before as u64).to_le_bytes());
    let error = refused(&moved);
    assert!(error.code == Code::FileInvalid && error.message.contains("same bytes"), "{error}");
    writer.tensors.swap(2, 3);
    GgufFile::open(&file(&writer.bytes()).1).unwrap();
}

/// Every way in which readers of this format have been attacked: counts and sizes that are used before they are compared
/// with the file (llama.cpp CVE-2024-21802 and its successors).
#[test]
fn impossible_numbers_are_refused() {
    let with = |key: &str, kind: u32, bytes: Vec<u8>| tiny("llama").item(key, Item::Raw(kind, bytes)).bytes();
    let array = |element: u32, count: u64| [element.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat();
    let nested = |depth: usize| [array(9, 1).repeat(depth), array(0, 0)].concat();
    let mut hostile = vec![
        ("huge string", with("x", 8, u64::MAX.to_le_bytes().to_vec())),
        ("huge string array", with("x", 9, array(8, u64::MAX / 8))),
        ("huge scalar array", with("x", 9, array(10, u64::MAX / 8 + 2))),
        ("unknown value type", with("x", 13, vec![0; 8])),
        ("unknown element type", with("x", 9, array(13, 1))),
        ("deep nesting", with("x", 9, nested(20))),
        ("bool of two", with("x", 7, vec![2])),
        ("string that is not UTF-8", with("x", 8, [1_u64.to_le_bytes().to_vec(), vec![0xff]].concat())),
        ("key twice", tiny("llama").item("general.architecture", Item::Text("llama")).bytes()),
        ("alignment zero", tiny("llama").item("general.alignment", Item::U32(0)).bytes()),
        ("alignment of three", tiny("llama").item("general.alignment", Item::U32(3)).bytes()),
        ("alignment beyond reason", tiny("llama").item("general.alignment", Item::U32(1 << 31)).bytes()),
        ("tensor twice", tiny("llama").ramp("output_norm.weight", &[32], 0.0).bytes()),
        ("one layer written two ways", tiny("llama").ramp("blk.00.attn_norm.weight", &[32], 0.0).bytes()),
        (
            "product of dimensions overflows",
            tiny("llama").tensor("output.weight", &[1 << 32, 1 << 32, 4], 0, vec![]).bytes(),
        ),
        ("bytes overflow", tiny("llama").tensor("output.weight", &[1 << 62, 2], 0, vec![]).bytes()),
        ("no dimensions", tiny("llama").tensor("output.weight", &[], 0, vec![0; 4]).bytes()),
        ("five dimensions", tiny("llama").tensor("output.weight", &[1, 1, 1, 1, 1], 0, vec![0; 4]).bytes()),
        ("dimension of zero", tiny("llama").tensor("output.weight", &[0, 8], 0, vec![]).bytes()),
        ("part of a block", tiny("llama").tensor("output.weight", &[33, 8], 8, vec![0; 34 * 9]).bytes()),
        ("rows that are no heads", tiny("llama").ramp("blk.1.attn_q.weight", &[32, 24], 0.0).bytes()),
        ("tensor beyond the end", tiny("llama").tensor("output.weight", &[32, 8000], 0, vec![0; 64]).bytes()),
        ("not GGUF at all", b"GGML\x03\0\0\0".to_vec()),
        ("embedding absent", {
            let mut writer = tiny("llama");
            writer.tensors.retain(|tensor| tensor.name != "token_embd.weight");
            writer.bytes()
        }),
    ];
    for (name, at) in [("tensor count", 8), ("key count", 16)] {
        let mut bytes = tiny("llama").bytes();
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        hostile.push((name, bytes));
    }
    for (what, bytes) in hostile {
        assert_eq!(refused(&bytes).code, Code::FileInvalid, "{what}");
    }
    for key in ["embedding_length", "attention.head_count", "block_count"] {
        let mut writer = tiny("llama");
        writer.items.retain(|(name, _)| !name.ends_with(key));
        assert_eq!(refused(&writer.bytes()).code, Code::ConfigInvalid, "{key}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = tiny("llama").bytes();
    for length in (1..bytes.len()).step_by(37).chain([bytes.len() - 1]) {
        assert_eq!(refused(&bytes[..length]).code, Code::FileInvalid, "{length} of {}", bytes.len());
    }
    let message = refused(&bytes[..bytes.len() - 1]).message;
    assert!(message.contains(&format!("{} bytes, got {}", bytes.len(), bytes.len() - 1)), "{message}");
}

/// The real SmolLM2-135M-Instruct, where `TUNESMITH_SMOLLM2` names its GGUF file.
#[test]
fn smollm2_has_the_shapes_of_hugging_face() {
    let Some(path) = std::env::var_os("TUNESMITH_SMOLLM2") else {
        eprintln!("skipped: TUNESMITH_SMOLLM2 is not set");
        return;
    };
    let model = ModelFiles::open(path.as_ref()).unwrap();
    let sizes = ["hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "num_key_value_heads"];
    assert_eq!(sizes.map(|key| model.config.size(key).unwrap()), [576, 30, 1536, 9, 3]);
    assert_eq!(model.config.size("vocab_size").unwrap(), 49_152);
    assert!(model.config.flag("tie_word_embeddings", false).unwrap());
    assert_eq!(model.source.names().len(), 272);
    let parts = [
        ("self_attn.q_proj", [576, 576]),
        ("self_attn.k_proj", [192, 576]),
        ("self_attn.v_proj", [192, 576]),
        ("self_attn.o_proj", [576, 576]),
        ("mlp.gate_proj", [1536, 576]),
        ("mlp.up_proj", [1536, 576]),
        ("mlp.down_proj", [576, 1536]),
    ];
    for layer in 0..30 {
        for (part, shape) in parts {
            assert_eq!(model.source.get(&format!("model.layers.{layer}.{part}.weight")).unwrap().shape, shape);
        }
    }
    let mut out = Vec::new();
    for name in model.source.names() {
        model.source.get(&name).unwrap().to_f32(&mut out).unwrap();
        assert!(out.iter().all(|value| value.is_finite()), "{name}");
    }
}

/// llama.cpp gathers the rows of its tokens from A (`convert_lora_to_gguf.py`, `llama-adapter.cpp`).
#[test]
fn factors_on_the_embedding_are_written_as_llama_cpp_gathers_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapter.gguf");
    let factor = |shape: &[usize], data: &[f32]| AdapterTensor { shape: shape.to_vec(), data: data.to_vec() };
    let factors = LoraTensors {
        kind: FactorKind::Embedding,
        a: factor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        b: factor(&[4, 2], &[0.5; 8]),
        magnitude: None,
        bias: None,
    };
    let modules = BTreeMap::from([("model.embed_tokens".to_owned(), factors)]);
    let adapter = AdapterConfig::lora("base", 2, 4.0, false, vec!["embed_tokens".to_owned()]);
    let write = |tied: bool| {
        let config = json!({
            "model_type": "llama", "hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 4, "hidden_act": "silu",
            "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "vocab_size": 3,
            "tie_word_embeddings": tied,
        });
        let config = ModelConfig::from_json(Path::new("config.json"), config).unwrap();
        write_gguf_lora(&path, "tiny", &config, &adapter, &modules, Quantization::F32)
    };
    write(false).unwrap();
    let bytes = fs::read(&path).unwrap();
    let holds = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    let tensor = |name: &str, dims: [u64; 2]| {
        let dims = dims.iter().flat_map(|size| size.to_le_bytes());
        name.bytes().chain(2_u32.to_le_bytes()).chain(dims).collect::<Vec<u8>>()
    };
    // The contiguous dimension comes first.
    assert!(holds(&tensor("token_embd.weight.lora_a", [2, 3])) && holds(&tensor("token_embd.weight.lora_b", [2, 4])));
    let gathered: Vec<u8> = [1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert!(holds(&gathered));
    let error = write(true).unwrap_err();
    assert!(error.code == Code::ModelUnsupported && error.message.contains("merge the adapter"), "{error}");
}
