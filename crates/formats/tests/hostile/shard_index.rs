//! Shard indexes: which file holds which tensor.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tunesmith_formats::{ShardedSafetensors, TensorSource, write_safetensors};
use tunesmith_ops::Code;

use super::campaign::campaign;
use super::common::tensor;
use super::corpus::{Attack, attack, check, odd};
use super::json::{self, Node, Words};
use super::random::Random;
use super::safetensors::convert_all;

const WORDS: Words = Words {
    keys: &["a", "b", "c", "d", "weight_map", "metadata", "total_size", "x", "", "__metadata__"],
    values: &[
        "\"1.safetensors\"",
        "\"2.safetensors\"",
        "\"3.safetensors\"",
        "\"../1.safetensors\"",
        "\"./1.safetensors\"",
        "\"sub/1.safetensors\"",
        "\"..\"",
        "\".\"",
        "\"/etc/passwd\"",
        "\"C:\\\\1.safetensors\"",
        "\"\\\\\\\\host\\\\x\"",
        "\"1.safetensors\\u0000\"",
        "\"model.safetensors.index.json\"",
        "16",
    ],
};
const SEED: &str = r#"{"metadata":{"total_size":16},"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors","d":"2.safetensors"}}"#;

/// A folder of two shards inside another folder that holds a shard too, which no index may reach.
fn shards() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("model");
    fs::create_dir_all(inner.join("sub")).unwrap();
    let ones = [1.0];
    for (path, names) in [
        (inner.join("1.safetensors"), ["a", "b"]),
        (inner.join("2.safetensors"), ["c", "d"]),
        (dir.path().join("1.safetensors"), ["a", "b"]),
        (inner.join("sub/1.safetensors"), ["a", "b"]),
    ] {
        write_safetensors(&path, &names.map(|name| tensor(name, &[1], &ones))).unwrap();
    }
    dir
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens an index; one that names a file outside its folder must have been refused.
fn read(path: &Path, bytes: &[u8]) -> Result<(), Code> {
    let model = ShardedSafetensors::open(path).map_err(|error| error.code)?;
    convert_all(&model);
    let index: Index = serde_json::from_slice(bytes).unwrap();
    for (name, file) in &index.weight_map {
        assert!(["1.safetensors", "2.safetensors"].contains(&file.as_str()), "{file} was opened");
        assert!(model.contains(name) || model.stale().contains(name));
    }
    Ok(())
}

#[test]
fn mutations() {
    let (dir, seed) = (shards(), Node::parse(SEED));
    let path = dir.path().join("model/model.safetensors.index.json");
    let make = |random: &mut Random| json::mutated(random, &seed, &WORDS);
    campaign("shard-index", &path, make, |bytes| read(&path, bytes).is_ok());
}

#[test]
fn made_by_hand() {
    let dir = shards();
    let path = dir.path().join("model/model.safetensors.index.json");
    check("shard-index", &attacks(), |bytes| {
        fs::write(&path, bytes).unwrap();
        read(&path, bytes)
    });
}

fn attacks() -> Vec<Attack> {
    use Code::{FileInvalid as Invalid, FileMissing as Missing};
    let map = |entries: &str| format!(r#"{{"weight_map":{{{entries}}}}}"#);
    let to = |name: &str, file: &str, code| attack(name, map(&format!(r#""a":{}"#, serde_json::json!(file))), code);
    let million: Vec<String> = (0..1_000_000).map(|i| format!(r#""{i:x}":"""#)).collect();
    vec![
        to("parent-folder.json", "../1.safetensors", Invalid),
        to("parent-folder-and-back.json", "../model/1.safetensors", Invalid),
        to("folder-below.json", "sub/1.safetensors", Invalid),
        to("here-spelled-out.json", "./1.safetensors", Invalid),
        to("absolute-path.json", "/etc/passwd", Invalid),
        to("drive-path.json", "C:\\1.safetensors", Invalid),
        to("drive-relative-path.json", "C:1.safetensors", Invalid),
        to("unc-path.json", "\\\\host\\share\\1.safetensors", Invalid),
        to("backslash-parent.json", "..\\1.safetensors", Invalid),
        to("nul-in-the-name.json", "1.safetensors\0", Invalid),
        to("url.json", "https://example.com/1.safetensors", Invalid),
        to("name-empty.json", "", Invalid),
        to("name-of-the-folder.json", ".", Invalid),
        to("name-of-the-parent.json", "..", Invalid),
        to("name-of-10000-letters.json", &"x".repeat(10_000), Missing),
        to("pickle.json", "pytorch_model.bin", Missing),
        to("the-index-itself.json", "model.safetensors.index.json", Invalid),
        to("shard-absent.json", "3.safetensors", Missing),
        attack("not-json.json", "weight_map", Invalid),
        attack("list.json", "[]", Invalid),
        attack("map-absent.json", "{}", Invalid),
        attack("map-null.json", r#"{"weight_map":null}"#, Invalid),
        attack("map-a-list.json", r#"{"weight_map":["1.safetensors"]}"#, Invalid),
        attack("map-twice.json", r#"{"weight_map":{"a":"1.safetensors"},"weight_map":{}}"#, Invalid),
        attack("value-a-number.json", map(r#""a":1"#), Invalid),
        attack("value-a-list.json", map(r#""a":["1.safetensors"]"#), Invalid),
        attack("tensor-twice.json", map(r#""a":"1.safetensors","a":"1.safetensors""#), Invalid),
        attack(
            "tensor-in-another-shard-than-listed.json",
            map(r#""a":"1.safetensors","c":"1.safetensors","d":"2.safetensors""#),
            Invalid,
        ),
        attack(
            "nested-100000-deep.json",
            format!("{}{}", "{\"weight_map\":".repeat(100_000), "}".repeat(100_000)),
            Invalid,
        ),
        attack("million-tensors.json", map(&million.join(",")), Invalid),
        attack("40-mb.json", format!("{SEED}{}", " ".repeat(40 << 20)), Invalid),
        attack("empty.json", "", Invalid),
        // No shard that is opened holds them: whoever needs them is told.
        odd("tensor-in-the-other-shard.json", map(r#""a":"2.safetensors""#)),
        odd("tensor-in-two-shards.json", map(r#""a":"1.safetensors","c":"1.safetensors""#)),
        odd("tensor-in-no-shard.json", map(r#""x":"1.safetensors""#)),
        odd("no-tensors.json", map("")),
        odd("one-of-two-shards.json", map(r#""a":"1.safetensors""#)),
    ]
}
