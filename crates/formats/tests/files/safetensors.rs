//! Safetensors files and sharded models, written by us and read by the reference crate, and the other way round.

use std::fs;
use std::path::Path;

use crate::common::{safetensors_bytes, tensor};
use tunesmith_formats::{
    SafetensorsFile, SafetensorsWriter, ShardedSafetensors, StoredType, TensorSource, TensorSpec, write_safetensors,
};
use tunesmith_ops::{Code, Error};

fn refused(header: &str, data: &[u8]) -> Error {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    fs::write(&path, safetensors_bytes(header, data)).unwrap();
    SafetensorsFile::open(&path).unwrap_err()
}

#[test]
fn the_reference_reads_what_we_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    let data = [1.5, -2.0, 0.0, f32::MIN_POSITIVE, 5.0, 6.0];
    write_safetensors(
        &path,
        &[tensor("b", &[2, 2], &data[..4]), tensor("a", &[2], &data[4..]), tensor("é", &[], &data[..1])],
    )
    .unwrap();
    let bytes = fs::read(&path).unwrap();
    let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(reference.names().len(), 3);
    assert_eq!(reference.tensor("b").unwrap().shape(), [2, 2]);
    assert_eq!(reference.tensor("b").unwrap().data(), bytemuck::cast_slice::<f32, u8>(&data[..4]));
    assert_eq!(safetensors::SafeTensors::read_metadata(&bytes).unwrap().1.metadata().as_ref().unwrap()["format"], "pt");

    let file = SafetensorsFile::open(&path).unwrap();
    assert_eq!(file.names(), ["a", "b", "é"]);
    assert_eq!(file.metadata()["format"], "pt");
    let mut out = Vec::new();
    file.get("b").unwrap().to_f32(&mut out).unwrap();
    assert_eq!(out, data[..4]);
    let absent = file.get("c").unwrap_err();
    assert_eq!(absent.code, Code::FileInvalid);
    assert!(absent.place.ends_with("a.safetensors") && absent.message.contains("`c`"));

    let again = dir.path().join("b.safetensors");
    write_safetensors(
        &again,
        &[tensor("é", &[], &data[..1]), tensor("a", &[2], &data[4..]), tensor("b", &[2, 2], &data[..4])],
    )
    .unwrap();
    assert_eq!(fs::read(again).unwrap(), bytes, "the order in which tensors are given must not matter");
}

#[test]
fn a_writer_keeps_its_order_and_its_promises() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    let spec = |name: &str, stored| TensorSpec { name: name.to_owned(), stored, shape: vec![32] };
    let specs = || vec![spec("b", StoredType::Bf16), spec("a", StoredType::I64)];
    let mut writer = SafetensorsWriter::create(&path, specs()).unwrap();
    assert_eq!(writer.specs()[0].name, "a");
    assert_eq!(writer.write("b", &[0; 64]).unwrap_err().code, Code::ArgumentInvalid);
    assert_eq!(writer.write("a", &[0; 64]).unwrap_err().code, Code::ArgumentInvalid);
    writer.write("a", &[1; 256]).unwrap();
    assert!(writer.finish().unwrap_err().place.contains('b'));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "an unfinished file leaves nothing behind");

    let mut writer = SafetensorsWriter::create(&path, specs()).unwrap();
    writer.write("a", &[1; 256]).unwrap();
    writer.write("b", &[2; 64]).unwrap();
    writer.finish().unwrap();
    assert_eq!(SafetensorsFile::open(&path).unwrap().get("b").unwrap().bytes(), Some([2; 64].as_slice()));

    let twice = vec![spec("a", StoredType::F32), spec("a", StoredType::F32)];
    assert!(SafetensorsWriter::create(&path, twice).is_err());
    assert!(SafetensorsWriter::create(&path, vec![spec("a", StoredType::Q8_0)]).is_err());
}

#[test]
fn damaged_headers_are_refused() {
    let hostile = [
        ("hole", r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#),
        (
            "overlap",
            r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
        ),
        ("bytes not described", r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#),
        ("shape against offsets", r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,3]}}"#),
        ("negative", r#"{"a":{"dtype":"U8","shape":[-3],"data_offsets":[0,3]}}"#),
        ("product overflows", r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#),
        (
            "end overflows",
            r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[18446744073709551613,18446744073709551615]}}"#,
        ),
        ("backwards", r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[3,0]}}"#),
        (
            "twice",
            r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}"#,
        ),
        ("nine dimensions", r#"{"a":{"dtype":"U8","shape":[3,1,1,1,1,1,1,1,1],"data_offsets":[0,3]}}"#),
        ("no dtype", r#"{"a":{"shape":[3],"data_offsets":[0,3]}}"#),
        ("list", "[]"),
        ("not JSON", "{\"a\":"),
        ("deep", &"[".repeat(100_000)),
        ("empty", ""),
    ];
    for (what, header) in hostile {
        assert_eq!(refused(header, &[0; 3]).code, Code::FileInvalid, "{what}");
    }
    let float8 = refused(r#"{"a":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]}}"#, &[0; 3]);
    assert_eq!(float8.code, Code::ModelUnsupported);
    assert!(float8.message.contains("F8_E4M3") && float8.message.contains("`a`"));
}

#[test]
fn truncation_names_the_file_and_both_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    write_safetensors(&path, &[tensor("a", &[64], &[1.0; 64])]).unwrap();
    let bytes = fs::read(&path).unwrap();
    for length in 1..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = SafetensorsFile::open(&path).unwrap_err();
        assert_eq!(error.code, Code::FileInvalid);
        assert!(error.place.ends_with("model.safetensors"));
        assert!(error.message.contains(&format!("got {length};")), "{error}");
    }
    fs::write(&path, b"").unwrap();
    assert_eq!(SafetensorsFile::open(&path).unwrap_err().code, Code::FileInvalid);
    fs::remove_file(&path).unwrap();
    assert_eq!(SafetensorsFile::open(&path).unwrap_err().code, Code::FileMissing);
    assert_eq!(SafetensorsFile::open(dir.path()).unwrap_err().code, Code::FileInvalid);
}

fn shards(dir: &Path, index: &str) -> Result<ShardedSafetensors, Error> {
    let path = dir.join("model.safetensors.index.json");
    fs::write(&path, index).unwrap();
    ShardedSafetensors::open(&path)
}

#[test]
fn shards_are_one_source() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_safetensors(&dir.join("1.safetensors"), &[tensor("a", &[2], &[1.0, 2.0])]).unwrap();
    write_safetensors(&dir.join("2.safetensors"), &[tensor("b", &[1], &[3.0]), tensor("c", &[1], &[4.0])]).unwrap();
    let index =
        r#"{"metadata":{"total_size":16},"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}}"#;
    let model = shards(dir, index).unwrap();
    assert_eq!(model.names(), ["a", "b", "c"]);
    assert!(model.stale().is_empty());
    let model = shards(dir, r#"{"weight_map":{"a":"1.safetensors","z":"1.safetensors","b":"2.safetensors"}}"#).unwrap();
    assert_eq!(model.names(), ["a", "b", "c"], "the shards say what there is, as for transformers");
    assert_eq!(model.stale(), ["z"]);
    let model = shards(dir, index).unwrap();
    let mut out = Vec::new();
    model.get("c").unwrap().to_f32(&mut out).unwrap();
    assert_eq!(out, [4.0]);
    assert!(model.contains("b") && !model.contains("d"));
    assert_eq!(model.get("d").unwrap_err().code, Code::FileInvalid);

    let code = |index: &str| {
        let error = shards(dir, index).unwrap_err();
        (error.code, error)
    };
    let (missing, error) = code(r#"{"weight_map":{"a":"1.safetensors","b":"3.safetensors"}}"#);
    assert_eq!(missing, Code::FileMissing);
    assert!(error.place.ends_with("3.safetensors"));
    for (what, index) in [
        ("tensor in another shard", r#"{"weight_map":{"a":"1.safetensors","c":"1.safetensors","b":"2.safetensors"}}"#),
        ("tensor twice", r#"{"weight_map":{"a":"1.safetensors","a":"1.safetensors"}}"#),
        ("parent folder", r#"{"weight_map":{"a":"../1.safetensors"}}"#),
        ("absolute path", r#"{"weight_map":{"a":"/etc/passwd"}}"#),
        ("drive letter", r#"{"weight_map":{"a":"C:model.safetensors"}}"#),
        ("no map", r#"{"metadata":{}}"#),
        ("number", r#"{"weight_map":{"a":1}}"#),
    ] {
        assert_eq!(code(index).0, Code::FileInvalid, "{what}");
    }
    fs::write(dir.join("2.safetensors"), b"short").unwrap();
    let (damaged, error) = code(r#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#);
    assert_eq!(damaged, Code::FileInvalid);
    assert!(error.place.ends_with("2.safetensors"));
}

#[test]
fn an_index_without_tensors_answers_clearly() {
    let dir = tempfile::tempdir().unwrap();
    let model = shards(dir.path(), r#"{"weight_map":{}}"#).unwrap();
    assert_eq!(model.get("a").unwrap_err().code, Code::FileInvalid);
}
