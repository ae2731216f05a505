//! GGUF files.

use std::fs;
use std::path::Path;

use tunesmith_engine::config::ModelConfig as EngineConfig;
use tunesmith_formats::{GgufFile, GgufTokenizer};
use tunesmith_ops::Code;
use tunesmith_text::Tokenizer;

use super::campaign::{campaign, checked};
use super::common::gguf::{Field, GgufWriter, Item, tiny};
use super::corpus::check;
use super::fields::mutated;
use super::gguf_attacks::attacks;
use super::random::Random;
use super::safetensors::convert_all;

/// Keys, values and tensor names that the reader knows, and some that lead elsewhere.
pub const WORDS: &[&str] = &[
    "general.architecture",
    "general.alignment",
    "general.name",
    "llama",
    "qwen2",
    "qwen3",
    "llama.context_length",
    "llama.embedding_length",
    "llama.block_count",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.attention.sliding_window",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.rope.freq_base",
    "llama.rope.dimension_count",
    "llama.rope.scaling.type",
    "llama.rope.scaling.factor",
    "llama.expert_count",
    "linear",
    "yarn",
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.merges",
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.chat_template",
    "{{ messages }}",
    "token_embd.weight",
    "output.weight",
    "output_norm.weight",
    "rope_freqs.weight",
    "blk.0.attn_q.weight",
    "blk.0.attn_q.bias",
    "blk.0.attn_k.weight",
    "blk.00.attn_v.weight",
    "blk.4294967295.ffn_up.weight",
    "blk.0.ffn_gate_exps.weight",
    "../../x",
    "a",
    "\u{0}",
    "é",
];

/// Short data: changes must hit the head.
fn short(architecture: &'static str) -> GgufWriter {
    let mut writer = tiny(architecture);
    writer.tensors.retain(|tensor| tensor.bytes.len() <= 2048);
    writer
}

fn with_keys_of(architecture: &'static str, kind: u32, block: usize) -> GgufWriter {
    let mut writer = short(architecture);
    writer.tensors.retain(|tensor| tensor.name != "blk.0.attn_k.weight");
    writer.tensor("blk.0.attn_k.weight", &[32, 16], kind, vec![0x3c; 16 * block])
}

/// Valid files whose rows lie in the order of the file.
pub fn natural_seeds() -> Vec<Vec<Field>> {
    let mut aligned = short("qwen2").item("general.alignment", Item::U32(64));
    aligned.alignment = 64;
    [
        short("qwen3").ramp("output.weight", &[32, 8], 0.0),
        aligned.ramp("blk.0.attn_q.bias", &[32], 0.0),
        with_keys_of("qwen3", 1, 64),
        with_keys_of("qwen3", 30, 64),
        with_keys_of("qwen3", 8, 34),
        with_keys_of("qwen3", 2, 18),
        with_keys_of("qwen3", 3, 20),
    ]
    .iter()
    .map(GgufWriter::fields)
    .collect()
}

/// Valid files of every kind.
fn seeds() -> Vec<Vec<Field>> {
    let divisors = [1.0_f32, 1.293_975_8, 7.667_385, 8.0, 8.0, 8.0, 8.0, 8.0].map(f32::to_le_bytes).concat();
    let rotated = [
        short("llama"),
        short("llama").tensor("rope_freqs.weight", &[8], 0, divisors),
        with_keys_of("llama", 8, 34),
        with_keys_of("llama", 2, 18),
    ];
    rotated.iter().map(GgufWriter::fields).chain(natural_seeds()).collect()
}

/// Opens a file and asks it for everything: values, configuration, tokenizer.
fn read(path: &Path) -> Result<(), Code> {
    let model = GgufFile::open(path).map_err(|error| error.code)?;
    convert_all(&model);
    let _ = EngineConfig::new(model.config());
    if let Ok(tokenizer) = model.tokenizer()
        && tokenizer.tokens.len() < 1000
    {
        let _ = Tokenizer::from_gguf(GgufTokenizer { chat_template: None, ..tokenizer })
            .and_then(|tokenizer| tokenizer.encode("ab é", true));
    }
    Ok(())
}

#[test]
fn mutations() {
    let (dir, seeds) = (tempfile::tempdir().unwrap(), seeds());
    let path = dir.path().join("model.gguf");
    let make = |random: &mut Random| {
        let seed = random.below(seeds.len());
        mutated(random, &seeds[seed], WORDS)
    };
    campaign("gguf", &path, make, |_| read(&path).is_ok());
}

#[test]
fn made_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    check("gguf", &attacks(), |bytes| {
        fs::write(&path, bytes).unwrap();
        read(&path)
    });
}

/// Every shorter file is refused.
#[test]
fn truncations() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let bytes = tiny("llama").bytes();
    for length in 1..1500.min(bytes.len()) {
        fs::write(&path, &bytes[..length]).unwrap();
        let answer = checked(&bytes[..length], || GgufFile::open(&path).map(drop)).unwrap();
        assert_eq!(answer.unwrap_err().code, Code::FileInvalid, "{length}");
    }
}
