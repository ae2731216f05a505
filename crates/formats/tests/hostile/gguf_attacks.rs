//! GGUF files made by hand: every published weakness of llama.cpp's reader up to 2026, and the rest of the ways in which a
//! count, a length or an offset can lie.

use tunesmith_ops::Code;

use super::common::gguf::{Field, GgufWriter, Item, Role, tiny};
use super::corpus::{Attack, attack, odd};

/// All of them.
pub fn attacks() -> Vec<Attack> {
    [published(), heads(), values(), tensors(), models(), costly()].into_iter().flatten().collect()
}

/// A model without the large matrices, so that its files stay small; the reader needs no more to come to every check.
fn small() -> GgufWriter {
    let mut writer = tiny("llama");
    writer.tensors.retain(|tensor| tensor.name.ends_with("norm.weight") || tensor.name == "token_embd.weight");
    writer
}

/// `small` with one field written over: the `nth` one of its role.
fn with_field(role: Role, nth: usize, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    changed(small().fields(), role, nth, bytes)
}

fn changed(mut fields: Vec<Field>, role: Role, nth: usize, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let field = fields.iter_mut().filter(|field| field.role == role).nth(nth).unwrap();
    field.bytes = bytes.as_ref().to_vec();
    fields.into_iter().flat_map(|field| field.bytes).collect()
}

fn with_value(kind: u32, bytes: impl Into<Vec<u8>>) -> Vec<u8> {
    small().item("x", Item::Raw(kind, bytes.into())).bytes()
}

fn array(element: u32, count: u64) -> Vec<u8> {
    [element.to_le_bytes().as_slice(), &count.to_le_bytes()].concat()
}

/// A tensor that states its dimensions and has eight bytes of data.
fn with_tensor(dims: &[u64], kind: u32) -> Vec<u8> {
    small().tensor("output.weight", dims, kind, vec![0; 8]).bytes()
}

/// The weaknesses with a number, each as the advisory describes it.
fn published() -> Vec<Attack> {
    let hostile = |name: &str, bytes: Vec<u8>| attack(name, bytes, Code::FileInvalid);
    let max = u64::MAX.to_le_bytes();
    // Sizes whose sum wraps though each alone is counted, and a sum that just does not wrap, to which a header is added.
    let half = |count: u64| {
        small()
            .tensor("output.weight", &[count], 0, vec![0; 8])
            .tensor("blk.0.attn_q.weight", &[count], 0, vec![0; 8])
            .bytes()
    };
    vec![
        // More dimensions than the four that have a place.
        hostile("cve-2024-21802-n-dims.gguf", with_field(Role::Dimensions, 0, 1_000_u32.to_le_bytes())),
        // An array of strings whose count times the size of a string wraps.
        hostile("cve-2024-21825-array-of-strings.gguf", with_value(9, array(8, (u64::MAX / 16) + 2))),
        // More tensors than can be allocated.
        hostile("cve-2024-21836-n-tensors.gguf", with_field(Role::Count, 0, max)),
        hostile("cve-2024-21836-n-tensors-wrapping.gguf", with_field(Role::Count, 0, (1_u64 << 57).to_le_bytes())),
        // A string of 2^64 − 1 bytes, to whose length one is added for its end.
        hostile("cve-2024-23496-string-length.gguf", with_field(Role::Length, 0, max)),
        hostile("cve-2024-23496-value-length.gguf", with_value(8, max)),
        // More keys than can be allocated.
        hostile("cve-2024-23605-n-kv.gguf", with_field(Role::Count, 1, max)),
        hostile("cve-2024-23605-n-kv-wrapping.gguf", with_field(Role::Count, 1, (1_u64 << 58).to_le_bytes())),
        // Tensor sizes are summed without a check.
        hostile("cve-2025-53630-sum-of-sizes.gguf", half(1 << 61)),
        hostile("cve-2025-53630-sum-wraps-to-64.gguf", half((1 << 61) + 8)),
        // The sum is checked; the header of the memory pool is added afterwards.
        hostile("cve-2026-27940-sum-and-header.gguf", with_tensor(&[(1 << 62) - 16], 0)),
        hostile("cve-2026-27940-padding.gguf", with_tensor(&[u64::MAX / 4], 0)),
        // Elements times the size of an element wraps: 2^42 + 1 rows, and a block type that multiplies before it divides.
        hostile("cve-2026-33298-rows.gguf", with_tensor(&[1 << 20, (1 << 42) + 1], 0)),
        hostile("cve-2026-33298-blocks.gguf", with_tensor(&[5_124_095_576_030_431_008], 2)),
        hostile("cve-2026-33298-elements-negative.gguf", with_tensor(&[(1 << 63) - 1, 2], 0)),
        // A path in place of a digest: nothing in a GGUF file names another file, so the name is a name and no more.
        attack(
            "cve-2026-7020-path-as-a-tensor-name.gguf",
            small().ramp("../../../../etc/cron.d/x", &[8], 0.0).bytes(),
            Code::ModelUnsupported,
        ),
        odd("cve-2026-7020-path-as-a-name.gguf", small().item("general.name", Item::Text("sha256:../../x")).bytes()),
    ]
}

fn heads() -> Vec<Attack> {
    use Code::{FileInvalid as Invalid, ModelUnsupported as Unsupported};
    let shown = |text: &[u8]| text.to_vec();
    vec![
        attack("head-ggml.gguf", shown(b"GGML\x03\0\0\0"), Invalid),
        attack("head-lower-case.gguf", with_field(Role::Magic, 0, b"gguf"), Invalid),
        attack("head-only-magic.gguf", shown(b"GGUF"), Invalid),
        attack("head-pickle.gguf", shown(b"\x80\x02}q\x00(X\x01\x00\x00\x00a"), Invalid),
        attack("version-0.gguf", with_field(Role::Version, 0, 0_u32.to_le_bytes()), Unsupported),
        attack("version-1.gguf", with_field(Role::Version, 0, 1_u32.to_le_bytes()), Unsupported),
        attack("version-4.gguf", with_field(Role::Version, 0, 4_u32.to_le_bytes()), Unsupported),
        attack("version-big-endian.gguf", with_field(Role::Version, 0, 3_u32.to_be_bytes()), Unsupported),
        attack("tensor-count-one-too-many.gguf", with_field(Role::Count, 0, 5_u64.to_le_bytes()), Invalid),
        attack("tensor-count-negative.gguf", with_field(Role::Count, 0, (-1_i64).to_le_bytes()), Invalid),
        attack("key-count-one-too-many.gguf", with_field(Role::Count, 1, 22_u64.to_le_bytes()), Invalid),
        attack("key-count-one-too-few.gguf", with_field(Role::Count, 1, 20_u64.to_le_bytes()), Invalid),
        attack("counts-zero.gguf", [b"GGUF\x03\0\0\0".as_slice(), &[0; 16]].concat(), Unsupported),
    ]
}

fn values() -> Vec<Attack> {
    let hostile = |name: &str, bytes: Vec<u8>| attack(name, bytes, Code::FileInvalid);
    let nested = |depth: usize, count: u64| [array(9, count).repeat(depth), array(0, 0)].concat();
    let long = "k".repeat(1 << 16);
    vec![
        hostile("key-empty-twice.gguf", small().item("", Item::Bool(true)).item("", Item::Bool(true)).bytes()),
        hostile("key-twice.gguf", small().item("general.architecture", Item::Text("llama")).bytes()),
        hostile("key-of-65536-bytes.gguf", small().item(&long, Item::Bool(true)).bytes()),
        hostile("key-not-utf8.gguf", with_field(Role::Text, 0, [0xff; 20])),
        hostile("key-runs-into-its-value.gguf", with_field(Role::Length, 0, 2000_u64.to_le_bytes())),
        hostile("value-type-13.gguf", with_value(13, [0; 8])),
        hostile("value-type-max.gguf", with_value(u32::MAX, [0; 8])),
        hostile("value-of-two-as-a-flag.gguf", with_value(7, [2])),
        hostile("value-not-utf8.gguf", with_value(8, [1_u64.to_le_bytes().as_slice(), &[0xff]].concat())),
        hostile("value-lone-surrogate.gguf", with_value(8, [3_u64.to_le_bytes().as_slice(), b"\xed\xa0\x80"].concat())),
        hostile("array-of-type-13.gguf", with_value(9, array(13, 1))),
        hostile("array-of-2-to-63-bytes.gguf", with_value(9, array(0, 1 << 63))),
        hostile("array-of-wrapping-doubles.gguf", with_value(9, array(12, u64::MAX / 8 + 2))),
        hostile("array-of-strings-past-end.gguf", with_value(9, array(8, 1 << 40))),
        hostile("array-nested-20-deep.gguf", with_value(9, nested(20, 1))),
        hostile("array-nested-5-deep.gguf", with_value(9, nested(5, 1))),
        hostile("array-nested-100000-deep.gguf", with_value(9, nested(100_000, 1))),
        hostile("array-nested-counts-lie.gguf", with_value(9, nested(3, 1 << 60))),
        hostile("alignment-0.gguf", small().item("general.alignment", Item::U32(0)).bytes()),
        hostile("alignment-3.gguf", small().item("general.alignment", Item::U32(3)).bytes()),
        hostile("alignment-2-to-31.gguf", small().item("general.alignment", Item::U32(1 << 31)).bytes()),
        hostile("alignment-a-text.gguf", small().item("general.alignment", Item::Text("32")).bytes()),
        hostile(
            "alignment-negative.gguf",
            small().item("general.alignment", Item::Raw(5, (-32_i32).to_le_bytes().to_vec())).bytes(),
        ),
        hostile(
            "alignment-of-64-bits.gguf",
            small().item("general.alignment", Item::Raw(10, 32_u64.to_le_bytes().to_vec())).bytes(),
        ),
        odd("array-nested-4-deep.gguf", with_value(9, nested(4, 1))),
        odd("array-empty.gguf", with_value(9, array(8, 0))),
        odd("value-not-a-number.gguf", with_value(12, f64::NAN.to_le_bytes())),
    ]
}

fn tensors() -> Vec<Attack> {
    let hostile = |name: &str, bytes: Vec<u8>| attack(name, bytes, Code::FileInvalid);
    let unsupported = |name: &str, bytes: Vec<u8>| attack(name, bytes, Code::ModelUnsupported);
    let offset = |value: u64| with_field(Role::Offset, 3, value.to_le_bytes());
    vec![
        hostile("tensor-twice.gguf", small().ramp("output_norm.weight", &[32], 0.0).bytes()),
        hostile("tensor-in-two-spellings.gguf", small().ramp("blk.00.attn_norm.weight", &[32], 0.0).bytes()),
        hostile("tensor-name-of-256-bytes.gguf", small().ramp(&"n".repeat(256), &[8], 0.0).bytes()),
        hostile("tensor-without-dimensions.gguf", with_tensor(&[], 0)),
        hostile("tensor-of-five-dimensions.gguf", with_tensor(&[1, 1, 1, 1, 1], 0)),
        hostile("tensor-dimensions-max.gguf", with_field(Role::Dimensions, 0, u32::MAX.to_le_bytes())),
        hostile("dimension-0.gguf", with_tensor(&[0, 8], 0)),
        hostile("dimension-negative.gguf", with_tensor(&[u64::MAX, 1], 0)),
        hostile("dimension-product-overflows.gguf", with_tensor(&[1 << 32, 1 << 32, 4], 0)),
        hostile("dimension-product-wraps-to-2.gguf", with_tensor(&[(1 << 63) + 1, 2], 0)),
        hostile("dimension-bytes-overflow.gguf", with_tensor(&[1 << 62, 2], 0)),
        hostile("block-of-33.gguf", with_tensor(&[33, 8], 8)),
        hostile("block-split-over-rows.gguf", with_tensor(&[16, 2], 2)),
        hostile("block-of-1.gguf", with_tensor(&[1], 8)),
        unsupported("type-of-no-name.gguf", with_tensor(&[8], 99)),
        unsupported("type-max.gguf", with_tensor(&[8], u32::MAX)),
        unsupported("type-removed-4.gguf", with_tensor(&[32], 4)),
        unsupported("type-integer.gguf", with_tensor(&[8], 26)),
        hostile("offset-max.gguf", offset(u64::MAX)),
        hostile("offset-max-aligned.gguf", offset(u64::MAX - 31)),
        hostile("offset-one-block-past-end.gguf", offset(1 << 20)),
        hostile("offset-not-aligned.gguf", offset(1)),
        hostile("data-past-end.gguf", with_tensor(&[32, 8000], 0)),
        hostile("data-absent.gguf", {
            let mut fields = small().fields();
            fields.retain(|field| field.role != Role::Data);
            fields.into_iter().flat_map(|field| field.bytes).collect()
        }),
        hostile("rows-that-are-no-heads.gguf", small().ramp("blk.1.attn_q.weight", &[32, 24], 0.0).bytes()),
        unsupported(
            "layer-number-beyond-32-bits.gguf",
            small().ramp("blk.4294967296.attn_norm.weight", &[32], 0.0).bytes(),
        ),
        hostile("tensors-share-bytes.gguf", with_field(Role::Offset, 3, 0_u64.to_le_bytes())),
    ]
}

fn without_item(key: &str) -> GgufWriter {
    let mut writer = small();
    writer.items.retain(|(name, _)| name != key);
    writer
}

fn without_tensor(name: &str) -> GgufWriter {
    let mut writer = small();
    writer.tensors.retain(|tensor| tensor.name != name);
    writer
}

/// Sound files that do not describe a model.
fn models() -> Vec<Attack> {
    use Code::{ConfigInvalid as Config, FileInvalid as Invalid, ModelUnsupported as Unsupported};
    let number = |key: &str, number: u32| without_item(key).item(key, Item::U32(number)).bytes();
    let without = |key: &str| without_item(key).bytes();
    vec![
        attack("model-of-no-architecture.gguf", without("general.architecture"), Unsupported),
        attack("model-of-0-heads.gguf", number("llama.attention.head_count", 0), Config),
        attack("model-of-3-heads-on-32.gguf", number("llama.attention.head_count", 3), Config),
        attack("model-of-2-to-32-heads.gguf", number("llama.attention.head_count", u32::MAX), Config),
        attack("model-without-layers.gguf", without("llama.block_count"), Config),
        attack("model-with-experts.gguf", number("llama.expert_count", 8), Unsupported),
        attack("model-with-a-half-rotation.gguf", number("llama.rope.dimension_count", 8), Unsupported),
        attack("model-without-embedding.gguf", without_tensor("token_embd.weight").bytes(), Invalid),
        attack(
            "model-embedding-a-vector.gguf",
            without_tensor("token_embd.weight").ramp("token_embd.weight", &[32], 0.0).bytes(),
            Invalid,
        ),
        attack(
            "heads-in-a-text.gguf",
            without_item("llama.attention.head_count").item("llama.attention.head_count", Item::Text("2")).bytes(),
            Invalid,
        ),
        attack(
            "rotary-base-not-a-number.gguf",
            without_item("llama.rope.freq_base").item("llama.rope.freq_base", Item::F32(f32::NAN)).bytes(),
            Invalid,
        ),
        attack(
            "rotary-divisors-strange.gguf",
            small().tensor("rope_freqs.weight", &[8], 0, [0.5_f32; 8].map(f32::to_le_bytes).concat()).bytes(),
            Unsupported,
        ),
        odd("token-ids-past-the-vocabulary.gguf", number("tokenizer.ggml.bos_token_id", 4_000_000)),
        odd("layers-2-to-32.gguf", number("llama.block_count", u32::MAX)),
    ]
}

/// Files made to be as costly as possible for their length.
fn costly() -> Vec<Attack> {
    let mut keys = small();
    for i in 0..60_000 {
        keys = keys.item(&format!("{i:x}"), Item::Bool(true));
    }
    let mut too_many = small();
    for i in 0..70_000 {
        too_many = too_many.item(&format!("{i:x}"), Item::Bool(true));
    }
    let strings = |count: u64| {
        let mut writer = small();
        writer.items.retain(|(key, _)| key != "tokenizer.ggml.tokens");
        let bytes = [array(8, count), vec![0; 8 * count as usize]].concat();
        writer.item("tokenizer.ggml.tokens", Item::Raw(9, bytes)).bytes()
    };
    vec![
        odd("60000-keys.gguf", keys.bytes()),
        attack("70000-keys.gguf", too_many.bytes(), Code::FileInvalid),
        odd("million-empty-tokens.gguf", strings(1 << 20)),
        odd("2-million-empty-tokens.gguf", strings(2 << 20)),
    ]
}
