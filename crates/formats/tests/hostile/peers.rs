//! What we accept, the Python readers read equally: mutated files, read by both sides. Needs `TUNESMITH_PEER_ENV`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tunesmith_formats::{GgufFile, SafetensorsFile, TensorSource};

use super::campaign::cases;
use super::common::gguf::Field;
use super::random::Random;
use super::{fields, gguf, safetensors};

/// Reads every file named on standard input: type, shape and checksum of each tensor, sorted; or why not.
const READER: &str = r#"
import json, sys, zlib
kind, files = sys.argv[1], sys.stdin.read().split("\n")
if kind == "safetensors":
    import safetensors
    def read(path):
        tensors = safetensors.deserialize(open(path, "rb").read())
        return sorted([t["dtype"], t["shape"], zlib.crc32(bytes(t["data"]))] for _, t in tensors)
else:
    import gguf
    def read(path):
        tensors = gguf.GGUFReader(path).tensors
        return sorted(
            [t.tensor_type.name, [int(n) for n in reversed(t.shape)], zlib.crc32(t.data.tobytes())]
            for t in tensors if t.name != "rope_freqs.weight")
for path in files:
    try:
        print(json.dumps(read(path)))
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
"#;

/// The environment's interpreter, or a visible note that it is absent.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("TUNESMITH_PEER_ENV").map(|dir| Path::new(&dir).join("bin/python"));
    let python = python.filter(|python| python.exists());
    if python.is_none() {
        eprintln!("skipped: TUNESMITH_PEER_ENV names no Python environment");
    }
    python
}

/// What a source holds, as the Python side writes it.
fn held(source: &dyn TensorSource) -> Value {
    let mut tensors: Vec<(String, Vec<usize>, u32)> = source
        .names()
        .iter()
        .map(|name| {
            let tensor = source.get(name).unwrap();
            (tensor.stored.name().to_owned(), tensor.shape.clone(), crc32(tensor.bytes().unwrap()))
        })
        .collect();
    tensors.sort();
    json!(tensors)
}

/// zlib's checksum.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Makes files until enough were accepted by `ours`, and compares what the peer found in them.
fn compare(kind: &str, make: impl Fn(&mut Random) -> Vec<u8>, ours: impl Fn(&Path) -> Option<Value>) {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (wanted, mut accepted) = (cases(2_000) as usize, BTreeMap::new());
    // Other cases than those of the campaign.
    for case in 1 << 40.. {
        if accepted.len() == wanted {
            break;
        }
        let path = dir.path().join(format!("{case}"));
        fs::write(&path, make(&mut Random::of_case(case))).unwrap();
        match ours(&path) {
            Some(held) => drop(accepted.insert(path, held)),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    let mut peer =
        Command::new(python).args(["-c", READER, kind]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let names: Vec<&str> = accepted.keys().map(|path| path.to_str().unwrap()).collect();
    peer.stdin.take().unwrap().write_all(names.join("\n").as_bytes()).unwrap();
    let output = peer.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(theirs.len(), accepted.len());
    let different: Vec<_> = accepted.iter().zip(&theirs).filter(|((_, ours), theirs)| ours != theirs).collect();
    for ((path, ours), theirs) in different.iter().take(5) {
        eprintln!("{}: ours {ours}\n  theirs {theirs}", path.display());
    }
    assert!(different.is_empty(), "{} of {wanted} read otherwise by Python", different.len());
    eprintln!("{kind}: {wanted} accepted files read equally by Python");
}

#[test]
fn safetensors_is_read_equally() {
    let seed = safetensors::seed();
    compare(
        "safetensors",
        |random| safetensors::mutated(random, &seed),
        |path| SafetensorsFile::open(path).ok().map(|file| held(&file)),
    );
}

/// Architectures whose rows lie in one order on both sides.
#[test]
fn gguf_is_read_equally() {
    let seeds: Vec<Vec<Field>> = gguf::natural_seeds();
    compare(
        "gguf",
        |random| {
            let seed = random.below(seeds.len());
            fields::mutated(random, &seeds[seed], gguf::WORDS)
        },
        |path| {
            // Changes may turn the architecture into the one whose rows are put in another order.
            let file = GgufFile::open(path).ok()?;
            file.names().iter().all(|name| file.get(name).unwrap().bytes().is_some()).then(|| held(&file))
        },
    );
}

#[test]
fn checksums_are_zlibs() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}
