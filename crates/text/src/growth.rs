//! How much longer the steps of a `tokenizer.json` may make a text, so that a short one cannot fill the memory.
//!
//! One step is limited by its texts; what counts is the product of all: eight replacements of one letter by ten make a
//! hundred megabytes of one byte. The bound of a step is the most it can do to any text, so that published files stay far
//! below the limits (Llama 2: 12, byte-level ones: 2 to 33).

use serde_json::Value as Json;

use crate::error::{Result, TextError};

const PLACE: &str = "tokenizer.json";
/// Most that all steps together may multiply a text by.
const MOST_GROWTH: u64 = 4096;
/// Longest text in bytes that the steps may make of one that is encoded.
const MOST_TEXT: u64 = 64 << 20;
/// Most steps of one kind; each goes through the whole text.
const MOST_STEPS: usize = 256;
/// Most times that the post-processor may write a text, and most ids that it may add.
const MOST_COPIES: u64 = 4;
const MOST_ADDED: u64 = 1024;

/// By what a text may grow before it is cut into tokens.
///
/// # Errors
/// `TOKENIZER_INVALID` when it is more than any tokenizer needs.
pub(crate) fn growth_of(file: &Json) -> Result<u64> {
    let normalized = product("normalizer", file, "normalizers")?;
    let cut = product("pre_tokenizer", file, "pretokenizers")?;
    product("decoder", file, "decoders")?;
    check_template(&file["post_processor"])?;
    check_words(&file["model"])?;
    let growth = normalized.saturating_mul(cut);
    if growth > MOST_GROWTH { Err(too_much("normalizer and pre_tokenizer", growth)) } else { Ok(growth) }
}

/// Refuses a text that the steps could make too long.
///
/// # Errors
/// `DATA_INVALID`.
pub(crate) fn check_length(text: &str, growth: u64) -> Result<()> {
    let longest = MOST_TEXT.checked_div(growth).unwrap_or(MOST_TEXT);
    if text.len() as u64 <= longest {
        return Ok(());
    }
    Err(TextError::data(
        "encode",
        &format!("expected a text of at most {longest} bytes for this tokenizer, got {}; split the row", text.len()),
    ))
}

fn too_much(steps: &str, growth: u64) -> TextError {
    TextError::tokenizer(
        PLACE,
        &format!(
            "expected steps that make a text at most {MOST_GROWTH} times as long, got {steps} that may make it {growth} \
             times as long; fetch the file again"
        ),
    )
}

/// The steps of a sequence, sequences in it included, in order.
pub(crate) fn leaves<'a>(step: &'a Json, list: &str, found: &mut Vec<&'a Json>) {
    match step[list].as_array() {
        Some(inner) => inner.iter().for_each(|inner| leaves(inner, list, found)),
        None if step.is_object() => found.push(step),
        None => {}
    }
}

fn product(name: &str, file: &Json, list: &str) -> Result<u64> {
    let mut steps = Vec::new();
    leaves(&file[name], list, &mut steps);
    if steps.len() > MOST_STEPS {
        return Err(TextError::tokenizer(
            PLACE,
            &format!("expected at most {MOST_STEPS} steps of the {name}, got {}; fetch the file again", steps.len()),
        ));
    }
    // A text in a Unicode form does not grow in it again.
    let forms = steps.iter().map(|step| form(step)).max().unwrap_or(1);
    let growth = steps.iter().fold(forms, |growth, step| growth.saturating_mul(factor(step)));
    if growth > MOST_GROWTH { Err(too_much(&format!("a {name}"), growth)) } else { Ok(growth) }
}

/// The most bytes a Unicode form makes of one.
fn form(step: &Json) -> u64 {
    match step["type"].as_str() {
        Some("NFKC" | "NFKD") => 11,
        Some("NFC" | "NFD") => 3,
        _ => 1,
    }
}

/// The most bytes a step makes of one.
fn factor(step: &Json) -> u64 {
    let length = |key: &str| step[key].as_str().map_or(0, str::len) as u64;
    match step["type"].as_str() {
        Some("Replace") => match step.pointer("/pattern/String").and_then(Json::as_str) {
            Some(pattern) if !pattern.is_empty() => length("content").div_ceil(pattern.len() as u64).max(1),
            // A pattern may match between any two letters.
            _ => length("content").saturating_add(1),
        },
        Some("Prepend") => length("prepend").saturating_add(1),
        Some("Metaspace") => length("replacement").max(3).saturating_add(1),
        Some("ByteLevel" | "BertNormalizer" | "Lowercase" | "BPEDecoder") => 2,
        Some("Precompiled") => longest_entry(&character_map(step)),
        Some("Strip" | "WordPiece") => length("prefix").saturating_add(1),
        Some("CTC") => length("word_delimiter_token").saturating_add(1),
        _ => 1,
    }
}

fn character_map(step: &Json) -> Vec<u8> {
    step["precompiled_charsmap"].as_str().and_then(|text| base64::decode(text).ok()).unwrap_or_default()
}

/// The longest text that a character map puts in the place of a letter: after a tree of known length they stand one
/// after another, each with a zero after it.
fn longest_entry(map: &[u8]) -> u64 {
    let tree = map.first_chunk::<4>().map_or(0, |head| u32::from_le_bytes(*head) as usize);
    let texts = tree.checked_add(4).and_then(|from| map.get(from..)).unwrap_or_default();
    texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0).max(1) as u64
}

/// Templates write the text once, and a few tokens around it.
fn check_template(step: &Json) -> Result<()> {
    let mut steps = Vec::new();
    leaves(step, "processors", &mut steps);
    let (mut copies, mut added) = (1_u64, 0_u64);
    for step in steps.iter().filter(|step| step["type"] == "TemplateProcessing") {
        let pieces = step["single"].as_array().map_or(&[] as &[Json], Vec::as_slice);
        let written = pieces.iter().filter(|piece| piece["Sequence"].is_object()).count().max(1) as u64;
        let ids = |piece: &Json| {
            let token = piece.pointer("/SpecialToken/id")?.as_str()?;
            Some(step["special_tokens"].get(token)?.get("ids")?.as_array()?.len() as u64)
        };
        copies = copies.saturating_mul(written);
        added = added.saturating_mul(written).saturating_add(pieces.iter().filter_map(ids).sum());
    }
    if copies <= MOST_COPIES && added <= MOST_ADDED {
        return Ok(());
    }
    Err(TextError::tokenizer(
        PLACE,
        &format!(
            "expected a post_processor that writes a text once with a few tokens around it, got one that may write it \
             {copies} times with {added} tokens; fetch the file again"
        ),
    ))
}

/// Finding the pieces of a word takes time that grows with the square of its length.
fn check_words(model: &Json) -> Result<()> {
    const MOST: u64 = 1024;
    match model["max_input_chars_per_word"].as_u64() {
        Some(length) if length > MOST => Err(TextError::tokenizer(
            PLACE,
            &format!("expected max_input_chars_per_word of at most {MOST}, got {length}; fetch the file again"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{check_length, growth_of, longest_entry};

    fn replace(pattern: &Json, content: &str) -> Json {
        json!({"type": "Replace", "pattern": pattern, "content": content})
    }

    fn normalizer(steps: &[Json]) -> Json {
        json!({"normalizer": {"type": "Sequence", "normalizers": steps}})
    }

    #[test]
    fn published_steps_stay_far_below_the_limits() {
        let llama = normalizer(&[json!({"type": "Prepend", "prepend": "▁"}), replace(&json!({"String": " "}), "▁")]);
        assert_eq!(growth_of(&llama).unwrap(), 12);
        let byte_level = json!({"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel"}});
        assert_eq!(growth_of(&byte_level).unwrap(), 6);
        assert_eq!(growth_of(&json!({})).unwrap(), 1);
        assert!(check_length(&"a".repeat(1 << 20), 12).is_ok());
    }

    #[test]
    fn products_of_steps_are_refused() {
        let ten = || replace(&json!({"String": "a"}), "aaaaaaaaaa");
        let in_sequences = (0..4).fold(ten(), |inner, _| json!({"type": "Sequence", "normalizers": [ten(), inner]}));
        let templates = json!({"type": "TemplateProcessing", "single": [
            {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {}});
        let many_ids = json!({"type": "TemplateProcessing", "single": vec![json!({"SpecialToken": {"id": "x"}}); 40],
            "special_tokens": {"x": {"ids": vec![1; 40]}}});
        let cases = [
            normalizer(&[ten(), ten(), ten(), ten()]),
            json!({"normalizer": in_sequences}),
            normalizer(&vec![replace(&json!({"Regex": ""}), "abc"); 7]),
            normalizer(&vec![json!({"type": "Prepend", "prepend": "abcdefghij"}); 4]),
            json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": vec![json!({"type": "ByteLevel"}); 20]}}),
            json!({"decoder": {"type": "Sequence", "decoders": vec![ten(); 4]}}),
            normalizer(&vec![json!({"type": "NFC"}); 300]),
            json!({"post_processor": {"type": "Sequence", "processors": vec![templates; 3]}}),
            json!({"post_processor": many_ids}),
            json!({"model": {"type": "WordPiece", "max_input_chars_per_word": 1_000_000}}),
        ];
        for case in cases {
            let error = growth_of(&case).unwrap_err();
            assert!(error.code == "TOKENIZER_INVALID" && error.message.contains("got"), "{case:.200}: {error}");
        }
        assert_eq!(check_length(&"a".repeat(70_000), 1000).unwrap_err().code, "DATA_INVALID");
    }

    #[test]
    fn a_character_map_grows_by_its_longest_text() {
        assert_eq!(longest_entry(b"\x02\0\0\0ttab\0abcd\0"), 4);
        assert_eq!(longest_entry(b"\xff\xff\xff\xff"), 1);
    }
}
