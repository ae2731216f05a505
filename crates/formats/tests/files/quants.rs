//! Quantised blocks against those that the PyPI package `gguf` and llama.cpp wrote and read, to the bit.

use std::path::Path;

use tunesmith_formats::{SafetensorsFile, StoredType, TensorSource, dequantize, quantize};

fn open(name: &str) -> SafetensorsFile {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/quants");
    SafetensorsFile::open(&dir.join(name)).unwrap()
}

fn blocks() -> SafetensorsFile {
    open("blocks.safetensors")
}

fn bytes<'a>(file: &'a SafetensorsFile, name: &str) -> &'a [u8] {
    file.get(name).unwrap().bytes().unwrap()
}

fn floats(file: &SafetensorsFile, name: &str) -> Vec<f32> {
    let mut out = Vec::new();
    file.get(name).unwrap().to_f32(&mut out).unwrap();
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_type_reads_as_the_package_reads_it() {
    use StoredType::{Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    let file = blocks();
    for stored in [Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4K, Q5K, Q6K] {
        let mut values = Vec::new();
        dequantize(stored, bytes(&file, &format!("{}.bytes", stored.name())), &mut values).unwrap();
        let expected = floats(&file, &format!("{}.values", stored.name()));
        assert!(!expected.is_empty());
        assert_eq!(bits(&values), bits(&expected), "{}", stored.name());
    }
}

#[test]
fn q8_0_and_q4_0_are_written_as_the_package_writes_them() {
    let file = blocks();
    let values = floats(&file, "values");
    for stored in [StoredType::Q8_0, StoredType::Q4_0] {
        let mut written = Vec::new();
        quantize(stored, &values, None, &mut written).unwrap();
        let expected = bytes(&file, &format!("{}.bytes", stored.name()));
        let size = stored.block_bytes();
        for (place, (got, wanted)) in written.chunks(size).zip(expected.chunks(size)).enumerate() {
            assert_eq!(got, wanted, "{} block {place}", stored.name());
        }
        assert_eq!(written.len(), expected.len());
    }
}

#[test]
fn every_type_is_written_as_llama_cpp_writes_it_with_and_without_importance() {
    use StoredType::{Iq4Nl, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    let file = open("llama_cpp.safetensors");
    let (values, importance) = (floats(&file, "values"), floats(&file, "importance"));
    for stored in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Iq4Nl, Q3K, Q4K, Q5K, Q6K] {
        for (ending, importance) in [("bytes", None), ("weighted", Some(importance.as_slice()))] {
            let mut written = Vec::new();
            for row in values.chunks(512) {
                quantize(stored, row, importance, &mut written).unwrap();
            }
            let expected = bytes(&file, &format!("{}.{ending}", stored.name()));
            assert_eq!(written.len(), expected.len());
            let size = stored.block_bytes();
            for (place, (got, wanted)) in written.chunks(size).zip(expected.chunks(size)).enumerate() {
                assert_eq!(got, wanted, "{} {ending}, block {place}", stored.name());
            }
        }
    }
}

#[test]
fn types_of_llama_cpp_alone_read_as_the_package_reads_them() {
    let file = open("llama_cpp.safetensors");
    for stored in [StoredType::Iq4Nl, StoredType::Q3K] {
        let mut values = Vec::new();
        dequantize(stored, bytes(&file, &format!("{}.bytes", stored.name())), &mut values).unwrap();
        assert_eq!(bits(&values), bits(&floats(&file, &format!("{}.values", stored.name()))), "{}", stored.name());
    }
}
