//! Safetensors files.

use std::fs;
use std::path::Path;

use tunesmith_formats::{SafetensorsFile, TensorSource};
use tunesmith_ops::Code::{self, FileInvalid as Invalid, ModelUnsupported as Unsupported};

use super::bytes::NUMBERS;
use super::campaign::campaign;
use super::common::safetensors_bytes;
use super::corpus::{Attack, attack, check, odd};
use super::json::{self, Node, Words};
use super::random::Random;

const WORDS: Words = Words {
    keys: &["a", "b", "dtype", "shape", "data_offsets", "__metadata__", "format", "", "../x", "\u{0}", "é"],
    values: &[
        "\"F32\"",
        "\"F16\"",
        "\"BF16\"",
        "\"I64\"",
        "\"I32\"",
        "\"U8\"",
        "\"F64\"",
        "\"F8_E4M3\"",
        "\"F4\"",
        "\"f32\"",
        "[0,0]",
        "[0,16]",
        "[16,0]",
        "[2,2]",
        "[4]",
        "[0]",
        "[1,1,1,1,1,1,1,1]",
        "[1,1,1,1,1,1,1,1,1]",
        "\"pt\"",
    ],
};

/// A valid file: every element type, a scalar, and an empty tensor.
pub fn seed() -> (Node, Vec<u8>) {
    let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},"c":{"dtype":"I64","shape":[1],"data_offsets":[22,30]},"d":{"dtype":"U8","shape":[],"data_offsets":[30,31]},"e":{"dtype":"F16","shape":[0,4],"data_offsets":[31,31]},"f":{"dtype":"I32","shape":[1,1],"data_offsets":[31,35]}}"#;
    (Node::parse(header), (0..35).collect())
}

/// Changes header, data and the length between them; the length is mostly true, and so are the places of added tensors.
pub fn mutated(random: &mut Random, (header, data): &(Node, Vec<u8>)) -> Vec<u8> {
    let (mut header, mut data) = (header.clone(), data.clone());
    if random.one_in(5) {
        append(random, &mut header, &mut data);
    }
    let mut text = if random.one_in(4) { header.text().into_bytes() } else { json::mutated(random, &header, &WORDS) };
    match random.below(8) {
        0 => data.truncate(random.below(data.len() + 1)),
        1 => data.extend(vec![0; random.below(40)]),
        2 => text.resize(text.len().next_multiple_of(8), b' '),
        _ => {}
    }
    let length = match random.below(8) {
        0 => *random.pick(&NUMBERS),
        1 => (text.len() as u64).wrapping_add(random.below(5) as u64).wrapping_sub(2),
        _ => text.len() as u64,
    };
    let mut file = length.to_le_bytes().to_vec();
    file.extend(text);
    file.extend(data);
    if random.one_in(8) {
        super::bytes::mutate(random, &mut file);
    }
    file
}

/// A further tensor of random shape, in its right place.
fn append(random: &mut Random, header: &mut Node, data: &mut Vec<u8>) {
    let (name, width) =
        *random.pick(&[("F32", 4), ("F16", 2), ("BF16", 2), ("I64", 8), ("U8", 1), ("I8", 1), ("F64", 8)]);
    let shape: Vec<usize> = (0..random.below(5)).map(|_| random.below(4)).collect();
    let (begin, len) = (data.len(), width * shape.iter().product::<usize>());
    data.extend((0..len).map(|_| random.bits() as u8));
    let entry = format!(r#"{{"dtype":"{name}","shape":{shape:?},"data_offsets":[{begin},{}]}}"#, begin + len);
    if let Node::Object(fields) = header {
        fields.push((format!("t{}", random.below(3)), Node::parse(&entry)));
    }
}

/// Converts everything a source offers, whole and by rows. Integers are refused there, which is an answer too.
pub fn convert_all(source: &dyn TensorSource) {
    let mut out = Vec::new();
    for name in source.names() {
        let tensor = source.get(&name).unwrap();
        let _ = tensor.to_f32(&mut out);
        let _ = tensor.rows_to_f32(tensor.rows() / 2, 1, &mut out);
    }
}

/// Opens a file; what we accept, the reference crate must accept, with the same tensors. Files of very many tensors are
/// only read by us: the reference has other limits of memory.
fn read(path: &Path) -> Result<(), Code> {
    let file = SafetensorsFile::open(path).map_err(|error| error.code)?;
    if file.names().len() > 1000 {
        return Ok(());
    }
    convert_all(&file);
    let bytes = fs::read(path).unwrap();
    let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(reference.len(), file.names().len());
    for name in file.names() {
        let (ours, theirs) = (file.get(&name).unwrap(), reference.tensor(&name).unwrap());
        assert_eq!((ours.shape.as_slice(), ours.bytes()), (theirs.shape(), Some(theirs.data())), "{name}");
    }
    Ok(())
}

#[test]
fn mutations() {
    let (dir, seed) = (tempfile::tempdir().unwrap(), seed());
    let path = dir.path().join("model.safetensors");
    campaign("safetensors", &path, |random| mutated(random, &seed), |_| read(&path).is_ok());
}

#[test]
fn made_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    check("safetensors", &attacks(), |bytes| {
        fs::write(&path, bytes).unwrap();
        read(&path)
    });
}

fn attacks() -> Vec<Attack> {
    [heads(), shapes(), places(), oddities()].into_iter().flatten().collect()
}

fn entry(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
}

/// A header of one tensor.
fn one(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"a":{}}}"#, entry(dtype, shape, offsets))
}

fn file(name: &str, header: &str, data: usize, code: Code) -> Attack {
    attack(name, safetensors_bytes(header, &vec![1; data]), code)
}

fn heads() -> Vec<Attack> {
    let length = |name: &str, length: u64| attack(name, [length.to_le_bytes().as_slice(), b"{}"].concat(), Invalid);
    vec![
        attack("seven-bytes", [0; 7], Invalid),
        length("header-length-zero", 0),
        length("header-length-past-end", 3),
        length("header-length-100-mb", 100_000_000),
        length("header-length-max", u64::MAX),
        length("header-length-negative", (-1_i64) as u64),
        length("header-length-wraps-with-8", u64::MAX - 7),
        file("header-of-100-mb", &format!("{{}}{}", " ".repeat(100_000_000)), 0, Invalid),
        file("header-not-json", "{\"a\":", 0, Invalid),
        file("header-not-an-object", "[]", 0, Invalid),
        file("header-not-utf8", "{\"\u{7f}", 0, Invalid),
        attack("header-bad-utf8", safetensors_bytes_raw(b"{\"\xff\":1}"), Invalid),
        file(
            "header-nested-100000-deep",
            &format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
            0,
            Invalid,
        ),
        file("header-two-documents", "{}{}", 0, Invalid),
        file("header-null-tensor", r#"{"a":null}"#, 0, Invalid),
        file("metadata-twice", r#"{"__metadata__":{"x":"1"},"__metadata__":{"x":"2"}}"#, 0, Invalid),
        file("metadata-not-strings", r#"{"__metadata__":{"x":1}}"#, 0, Invalid),
        file("metadata-a-tensor", &format!(r#"{{"__metadata__":{}}}"#, entry("U8", "[1]", "[0,1]")), 1, Invalid),
        file("key-unknown", r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"strides":[1]}}"#, 1, Invalid),
    ]
}

fn shapes() -> Vec<Attack> {
    vec![
        file("dtype-absent", r#"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, 4, Invalid),
        file("dtype-a-number", r#"{"a":{"dtype":0,"shape":[1],"data_offsets":[0,4]}}"#, 4, Invalid),
        file("dtype-unknown", &one("F12", "[4]", "[0,6]"), 6, Unsupported),
        file("dtype-lower-case", &one("f32", "[4]", "[0,16]"), 16, Unsupported),
        file("dtype-of-four-bits", &one("F4", "[4]", "[0,2]"), 2, Unsupported),
        file("shape-negative", &one("F32", "[-4]", "[0,16]"), 16, Invalid),
        file("shape-fraction", &one("F32", "[4.0]", "[0,16]"), 16, Invalid),
        file("shape-text", &one("F32", "\"4\"", "[0,16]"), 16, Invalid),
        file("shape-product-overflows", &one("F32", "[4294967296,4294967296]", "[0,16]"), 16, Invalid),
        file("shape-product-wraps-to-16", &one("F32", "[4611686018427387908]", "[0,16]"), 16, Invalid),
        file("shape-beyond-64-bits", &one("F32", "[18446744073709551616]", "[0,16]"), 16, Invalid),
        file("shape-of-nine-dimensions", &one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, Invalid),
    ]
}

fn places() -> Vec<Attack> {
    let f32x4 = one("F32", "[4]", "[0,16]");
    let two = |a: &str, b: &str| format!(r#"{{"a":{},"b":{}}}"#, entry("U8", "[4]", a), entry("U8", "[4]", b));
    vec![
        file("offsets-backwards", &one("F32", "[4]", "[16,0]"), 16, Invalid),
        file("offsets-negative", &one("F32", "[4]", "[-16,0]"), 16, Invalid),
        file("offsets-fraction", &one("F32", "[4]", "[0.0,16.0]"), 16, Invalid),
        file("offsets-one", &one("F32", "[4]", "[16]"), 16, Invalid),
        file("offsets-three", &one("F32", "[4]", "[0,16,16]"), 16, Invalid),
        file("offsets-past-end", &one("F32", "[8]", "[0,32]"), 16, Invalid),
        file("offsets-end-max", &one("F32", "[4]", "[0,18446744073709551615]"), 16, Invalid),
        file("offsets-wrap", &one("F32", "[4]", "[18446744073709551600,18446744073709551615]"), 16, Invalid),
        file("offsets-shorter-than-shape", &one("F32", "[4]", "[0,8]"), 8, Invalid),
        file("offsets-into-the-header", &one("F32", "[4]", "[18446744073709551615,15]"), 16, Invalid),
        file("tensors-overlap", &two("[0,4]", "[2,6]"), 6, Invalid),
        file("tensors-share-bytes", &two("[0,4]", "[0,4]"), 4, Invalid),
        file("hole-between-tensors", &two("[0,4]", "[5,9]"), 9, Invalid),
        file("hole-before-tensors", &two("[1,5]", "[5,9]"), 9, Invalid),
        file("bytes-after-tensors", &f32x4, 17, Invalid),
        file("data-truncated-by-one", &f32x4, 15, Invalid),
        file("data-absent", &f32x4, 0, Invalid),
        file("bytes-without-tensors", "{}", 8, Invalid),
    ]
}

fn oddities() -> Vec<Attack> {
    let f32x4 = one("F32", "[4]", "[0,16]");
    vec![
        file("tensor-twice", &format!(r#"{{"a":{0},"a":{0}}}"#, entry("U8", "[4]", "[0,4]")), 4, Invalid),
        file(
            "key-twice-in-an-entry",
            r#"{"a":{"dtype":"U8","dtype":"F32","shape":[4],"data_offsets":[0,4]}}"#,
            4,
            Invalid,
        ),
        file("lone-surrogate-in-a-name", r#"{"\ud800":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 4, Invalid),
        file("nan-in-a-shape", &one("F32", "[NaN]", "[0,16]"), 16, Invalid),
        attack("pickle-in-disguise", b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01cos\nsystem\n", Invalid),
        attack("zip-in-disguise", b"PK\x03\x04\x14\x00\x00\x00\x00\x00archive/data.pkl", Invalid),
        // The reference reads these two as well.
        odd("shape-zero-times-huge", safetensors_bytes(&one("F32", "[0,18446744073709551615]", "[0,0]"), &[])),
        odd("entry-a-list", safetensors_bytes(r#"{"a":["F32",[1],[0,4]]}"#, &[1; 4])),
        odd("no-tensors", safetensors_bytes("{}", &[])),
        odd(
            "name-leads-elsewhere",
            safetensors_bytes(r#"{"../../x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, &[1; 4]),
        ),
        odd("name-empty", safetensors_bytes(r#"{"":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, &[1; 4])),
        odd("not-a-number-inside", safetensors_bytes(&f32x4, &f32::NAN.to_le_bytes().repeat(4))),
        odd("100000-empty-tensors", many_entries(100_000)),
        attack("300000-empty-tensors", many_entries(300_000), Invalid),
    ]
}

fn safetensors_bytes_raw(header: &[u8]) -> Vec<u8> {
    [(header.len() as u64).to_le_bytes().as_slice(), header].concat()
}

/// A header made to be as costly as possible for its length.
fn many_entries(count: usize) -> Vec<u8> {
    let entries: Vec<String> = (0..count)
        .map(|i| format!(r#""{i:x}":{{"dtype":"U8","shape":[0,1,1,1,1,1,1,1],"data_offsets":[0,0]}}"#))
        .collect();
    safetensors_bytes(&format!("{{{}}}", entries.join(",")), &[])
}

/// A dimension list of 16 MB is refused while it is read, not after.
#[test]
fn a_shape_of_millions_of_dimensions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let header = format!(r#"{{"a":{{"dtype":"U8","shape":[{}1],"data_offsets":[0,1]}}}}"#, "1,".repeat(8 << 20));
    fs::write(&path, safetensors_bytes(&header, &[0])).unwrap();
    let bytes = fs::read(&path).unwrap();
    let answer = super::campaign::checked(&bytes, || SafetensorsFile::open(&path).map(drop)).unwrap();
    assert_eq!(answer.unwrap_err().code, Code::FileInvalid);
}
