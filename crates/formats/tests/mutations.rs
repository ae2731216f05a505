//! Damaged and hostile files: whatever is changed, a reader answers with a value or an error, never with a panic, and never
//! asks for more memory than twice the file and 64 MB. `CASES` sets the number of mutations per parser (default 20,000).

#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::Path;

use common::gguf::tiny;
use common::{safetensors_bytes, tensor};
use tunesmith_formats::{
    AdapterConfig, GgufFile, LoraPair, ModelConfig, RopeRules, SafetensorsFile, ShardedSafetensors, TensorSource,
    read_adapter, write_adapter, write_safetensors,
};

/// Counts what each thread holds and the most it ever held: tests run side by side.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn note(grown: usize, shrunk: usize) {
    // A thread that is ending has no counters any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get().wrapping_add(grown).wrapping_sub(shrunk));
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call is handed to the system allocator unchanged; only sizes are counted besides, in cells that need no
// allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`, and the block came from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: the caller keeps the contract of `realloc`, and the block came from the system allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs a reader and fails where it held more than twice the file and 64 MB.
fn within_limits(bytes: &[u8], read: impl FnOnce()) {
    let before = HELD.get();
    MOST.set(before);
    read();
    let held = MOST.get() - before;
    let allowed = 2 * bytes.len() + (64 << 20);
    assert!(held <= allowed, "{held} bytes held for a file of {}", bytes.len());
}

/// xorshift64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// Words that mean something to a parser of JSON headers and configurations.
const WORDS: [&str; 32] = [
    "0",
    "-1",
    "1e308",
    "1e-320",
    "18446744073709551615",
    "4294967296",
    "2147483648",
    "0.5",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[1,2]",
    "{\"a\":1}",
    "\"../x\"",
    "\"/etc/passwd\"",
    "\"F32\"",
    "\"F4\"",
    "\"llama3\"",
    "\"yarn\"",
    "\"\\ud800\"",
    "NaN",
    "[[[[[[",
    "\"factor\":8,",
    ",",
    ":",
    "}",
    "]",
    "\"",
    "\u{0}",
    "\"data_offsets\":[0,0],",
];

/// Numbers that readers of binary files stumble over.
const NUMBERS: [u64; 12] = [0, 1, 3, 8, 9, 31, 255, 1 << 20, 1 << 31, 1 << 62, u64::MAX - 7, u64::MAX];

/// One to four changes: bytes flipped, numbers and words written over, pieces removed, doubled or cut off.
fn mutate(random: &mut Random, seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = random.next() as u8,
            3 => {
                let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
                let width = [4, 8][random.below(2)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            4 => {
                let word = random.pick(&WORDS).as_bytes();
                bytes.splice(at..at, word.iter().copied());
            }
            5 => replace_token(random, &mut bytes),
            6 => {
                let end = (at + random.below(24)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let end = (at + random.below(24)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

/// Replaces a JSON number or string by a word: mutations that stay well formed reach deeper.
fn replace_token(random: &mut Random, bytes: &mut Vec<u8>) {
    let starts: Vec<usize> = (1..bytes.len()).filter(|&at| matches!(bytes[at - 1], b':' | b'[' | b',')).collect();
    if starts.is_empty() {
        return;
    }
    let start = starts[random.below(starts.len())];
    let end = (start..bytes.len()).find(|&at| matches!(bytes[at], b',' | b']' | b'}')).unwrap_or(bytes.len());
    let word = random.pick(&WORDS).as_bytes();
    bytes.splice(start..end, word.iter().copied());
}

fn cases() -> usize {
    std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20_000)
}

/// Replaces a file's content in place: some file systems flush a file that is first emptied, which takes milliseconds.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// Mutates `seed` into `path` and reads it. `read` tells whether the file was accepted, which some must be and some not:
/// otherwise the mutations would be too weak or too strong to prove anything.
fn campaign(seed: &[u8], path: &Path, mut read: impl FnMut() -> bool) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for _ in 0..cases() {
        let bytes = mutate(&mut random, seed);
        overwrite(path, &bytes);
        within_limits(&bytes, || accepted += usize::from(read()));
    }
    eprintln!("{}: {accepted} of {} mutations accepted", path.display(), cases());
    assert!(accepted > 0 && accepted < cases(), "{accepted} of {} accepted", cases());
    overwrite(path, seed);
    assert!(read(), "the unchanged file must be accepted");
}

/// Converts everything a source offers.
fn convert_all(source: &dyn TensorSource) {
    let mut out = Vec::new();
    for name in source.names() {
        let tensor = source.get(&name).unwrap();
        // Integers are refused here, which is an answer too.
        let _ = tensor.to_f32(&mut out);
        let _ = tensor.rows_to_f32(tensor.rows() / 2, 1, &mut out);
    }
}

#[test]
fn safetensors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},"c":{"dtype":"I64","shape":[1],"data_offsets":[22,30]},"d":{"dtype":"U8","shape":[],"data_offsets":[30,31]}}"#;
    let seed = safetensors_bytes(header, &[7; 31]);
    campaign(&seed, &path, || match SafetensorsFile::open(&path) {
        Ok(file) => {
            convert_all(&file);
            // What we accept, the reference crate accepts.
            let bytes = fs::read(&path).unwrap();
            let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(reference.len(), file.names().len());
            true
        }
        Err(_) => false,
    });
}

#[test]
fn shard_index() {
    let dir = tempfile::tempdir().unwrap();
    for (shard, names) in [("1.safetensors", ["a", "b"]), ("2.safetensors", ["c", "d"])] {
        let tensors = names.map(|name| tensor(name, &[1], &[1.0]));
        write_safetensors(&dir.path().join(shard), &tensors).unwrap();
    }
    let path = dir.path().join("model.safetensors.index.json");
    let seed = br#"{"metadata":{"total_size":16},"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors","d":"2.safetensors"}}"#;
    campaign(seed, &path, || ShardedSafetensors::open(&path).map(|model| convert_all(&model)).is_ok());
}

#[test]
fn gguf() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gguf");
    // Most changes must hit the head of the file, so the data is kept short.
    let mut writer = tiny("llama");
    writer.tensors.retain(|tensor| tensor.bytes.len() <= 2048);
    let seed = writer.bytes();
    campaign(&seed, &path, || match GgufFile::open(&path) {
        Ok(model) => {
            convert_all(&model);
            let _ = model.tokenizer();
            let _ = model.config().rope(RopeRules::plain(10_000.0));
            true
        }
        Err(_) => false,
    });
}

#[test]
fn config() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let seed = br#"{"model_type":"llama","hidden_size":64,"num_attention_heads":4,"head_dim":null,"rms_norm_eps":1e-06,"rope_parameters":{"factor":8.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":64,"rope_theta":10000.0,"rope_type":"llama3"},"tie_word_embeddings":false,"torch_dtype":"float32","eos_token_id":[2,3],"layer_types":["full_attention"]}"#;
    campaign(seed, &path, || {
        ModelConfig::read(&path).is_ok_and(|config| {
            let sizes = ["hidden_size", "num_attention_heads", "head_dim"].map(|key| config.optional_size(key));
            let _ = (
                sizes,
                config.model_type(),
                config.dtype(),
                config.eos_token_ids(),
                config.optional_strings("layer_types"),
            );
            let rope = config.rope(RopeRules::plain(10_000.0));
            if let Ok(rope) = &rope {
                assert!(rope.full.theta.is_finite() && rope.full.theta > 0.0);
            }
            rope.is_ok()
        })
    });
}

#[test]
fn adapter() {
    let dir = tempfile::tempdir().unwrap();
    let config = AdapterConfig::lora("base", 2, 4.0, true, vec!["q_proj".to_owned()]);
    let ones = [1.0; 8];
    let tensors =
        [tensor(&LoraPair::a_name("m.q_proj"), &[2, 4], &ones), tensor(&LoraPair::b_name("m.q_proj"), &[4, 2], &ones)];
    write_adapter(dir.path(), &config, &tensors).unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        let path = dir.path().join(name);
        let seed = fs::read(&path).unwrap();
        campaign(&seed, &path, || {
            let read = read_adapter(dir.path());
            if let Ok((config, pairs)) = &read {
                assert!(config.r > 0 && config.scale().is_finite());
                assert!(pairs.iter().all(|pair| pair.a.len() % config.r == 0));
            }
            read.is_ok()
        });
    }
}

/// Headers made to be as costly as possible for their length.
#[test]
fn costly_files_stay_within_limits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let check = |bytes: &[u8], read: &dyn Fn()| {
        fs::write(&path, bytes).unwrap();
        within_limits(bytes, read);
    };
    let entries: Vec<String> = (0..300_000)
        .map(|i| format!(r#""{i:x}":{{"dtype":"U8","shape":[0,1,1,1,1,1,1,1],"data_offsets":[0,0]}}"#))
        .collect();
    check(&safetensors_bytes(&format!("{{{}}}", entries.join(",")), &[]), &|| {
        assert_eq!(SafetensorsFile::open(&path).unwrap().names().len(), 300_000);
    });
    let long_shape = format!(r#"{{"a":{{"dtype":"U8","shape":[{}1],"data_offsets":[0,1]}}}}"#, "1,".repeat(8 << 20));
    check(&safetensors_bytes(&long_shape, &[0]), &|| assert!(SafetensorsFile::open(&path).is_err()));
    let list = format!("[{}0]", "0,".repeat((1 << 19) - 2));
    check(list.as_bytes(), &|| assert!(ModelConfig::read(&path).is_err()));
    let index: Vec<String> = (0..1_000_000).map(|i| format!(r#""{i:x}":"""#)).collect();
    let index = format!(r#"{{"weight_map":{{{}}}}}"#, index.join(","));
    check(index.as_bytes(), &|| assert!(ShardedSafetensors::open(&path).is_err()));

    let empty_strings = |count: u64| {
        let mut array = [8_u32.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat();
        array.resize(12 + 8 * count as usize, 0);
        let mut writer = tiny("llama");
        writer.items.retain(|(key, _)| key != "tokenizer.ggml.tokens");
        writer.item("tokenizer.ggml.tokens", common::gguf::Item::Raw(9, array)).bytes()
    };
    check(&empty_strings(2 << 20), &|| {
        assert_eq!(GgufFile::open(&path).unwrap().tokenizer().unwrap().tokens.len(), 2 << 20);
    });
    check(&empty_strings(4 << 20), &|| assert!(GgufFile::open(&path).unwrap().tokenizer().is_err()));
    let mut many_keys = tiny("llama");
    for i in 0..60_000 {
        many_keys = many_keys.item(&format!("{i:x}"), common::gguf::Item::Bool(true));
    }
    check(&many_keys.bytes(), &|| assert!(GgufFile::open(&path).is_ok()));
}
