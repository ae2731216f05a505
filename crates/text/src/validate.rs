//! What is checked of a `tokenizer.json` before the tokenizers crate sees it.
//!
//! Version 0.23 of the crate panics on a merge longer than every token and on padding to length 0, builds invalid text
//! from a subword prefix that cuts a character, and reserves whatever length a precompiled character map claims. Those
//! are refused here; what else panics is caught by `guard`. It drops a Unigram model's tree of letters by calling itself
//! once a letter, which no guard survives, and says an unknown version several times over.

use serde_json::{Map, Value as Json};

use crate::error::{Result, TextError};

const PLACE: &str = "tokenizer.json";

/// Longest text of a step in bytes, patterns apart; published files have a token's name at most.
const MOST_TEXT: usize = 256;

/// Longest pattern of a step in bytes; published ones have 500, and one of a megabyte compiles to hundreds.
const MOST_PATTERN: usize = 16 << 10;

/// Longest token of a Unigram model in bytes; SentencePiece's own limit is 16 characters, and 54,000 end the process.
const MOST_PIECE: usize = 1024;

/// Checks the file and removes what must not act: truncation and padding, which are decided by the caller of the
/// tokenizer.
///
/// # Errors
/// `TOKENIZER_INVALID`, naming the first thing wrong.
pub(crate) fn validate(mut file: Json) -> Result<Json> {
    let Some(fields) = file.as_object_mut() else {
        return Err(invalid("a JSON object", "another JSON value"));
    };
    fields.insert("truncation".to_owned(), Json::Null);
    fields.insert("padding".to_owned(), Json::Null);
    let added = fields.get("added_tokens").and_then(Json::as_array).into_iter().flatten();
    if let Some(token) = added.into_iter().find(|token| !is_id(&token["id"])) {
        return Err(invalid("added tokens with an id below 2^31", &format!("{token}")));
    }
    check_charsmaps(fields.get("normalizer").unwrap_or(&Json::Null))?;
    for step in ["version", "normalizer", "pre_tokenizer", "post_processor", "decoder"] {
        check_texts(fields.get(step).unwrap_or(&Json::Null))?;
    }
    let model = fields.get("model").and_then(Json::as_object).ok_or_else(|| invalid("a `model` object", "none"))?;
    let pieces = model.get("vocab").and_then(Json::as_array).into_iter().flatten();
    let longest = pieces.filter_map(|piece| piece[0].as_str()).map(str::len).max().unwrap_or(0);
    if longest > MOST_PIECE {
        return Err(invalid(&format!("tokens of at most {MOST_PIECE} bytes"), &format!("one of {longest}")));
    }
    if let Some(vocab) = model.get("vocab").and_then(Json::as_object) {
        if let Some((token, id)) = vocab.iter().find(|(_, id)| !is_id(id)) {
            return Err(invalid("token ids from 0 and below 2^31", &format!("{id} for {token:?}")));
        }
        check_merges(model, vocab)?;
    }
    Ok(file)
}

fn invalid(expected: &str, got: &str) -> TextError {
    TextError::tokenizer(PLACE, &format!("expected {expected}, got {got}; fetch the file again"))
}

fn is_id(id: &Json) -> bool {
    id.as_u64().is_some_and(|id| i32::try_from(id).is_ok())
}

/// What steps put into a text, and a version, is short: one letter of a text that became a megabyte would fill the memory.
fn check_texts(step: &Json) -> Result<()> {
    match step {
        Json::Object(fields) => fields.iter().try_for_each(|(key, value)| match (key.as_str(), value) {
            ("precompiled_charsmap", _) => Ok(()),
            ("Regex" | "String", Json::String(pattern)) => check_length("patterns", pattern, MOST_PATTERN),
            _ => check_texts(value),
        }),
        Json::Array(items) => items.iter().try_for_each(check_texts),
        Json::String(text) => check_length("texts", text, MOST_TEXT),
        _ => Ok(()),
    }
}

fn check_length(what: &str, text: &str, most: usize) -> Result<()> {
    if text.len() <= most {
        return Ok(());
    }
    Err(invalid(&format!("steps with {what} of at most {most} bytes"), &format!("one of {}", text.len())))
}

/// A precompiled character map begins with the length of its first part, which the crate reserves before it looks.
fn check_charsmaps(normalizer: &Json) -> Result<()> {
    for inner in normalizer.get("normalizers").and_then(Json::as_array).into_iter().flatten() {
        check_charsmaps(inner)?;
    }
    let Some(map) = normalizer.get("precompiled_charsmap") else { return Ok(()) };
    let text = map.as_str().ok_or_else(|| invalid("a character map as text", "another value"))?;
    let head = base64::decode(text).ok().and_then(|map| map.first_chunk::<4>().map(|head| u32::from_le_bytes(*head)));
    let head = head.ok_or_else(|| invalid("a character map in base64", "other text"))?;
    // Three bytes of every four letters, and four that hold the length.
    let most = (text.len() / 4).saturating_mul(3).saturating_sub(4);
    if head as usize > most {
        return Err(invalid(&format!("a character map of at most {most} bytes"), &head.to_string()));
    }
    Ok(())
}

fn check_merges(model: &Map<String, Json>, vocab: &Map<String, Json>) -> Result<()> {
    let longest = vocab.keys().map(String::len).max().unwrap_or(0);
    let prefix = model.get("continuing_subword_prefix").and_then(Json::as_str).unwrap_or_default().len();
    for merge in model.get("merges").and_then(Json::as_array).into_iter().flatten() {
        let pair = match merge {
            Json::String(text) => text.split_once(' '),
            _ => merge[0].as_str().zip(merge[1].as_str()),
        };
        let (left, right) = pair.ok_or_else(|| invalid("merges of two tokens", &merge.to_string()))?;
        if !right.is_char_boundary(prefix) || left.len().saturating_add(right.len()).saturating_sub(prefix) > longest {
            return Err(invalid("merges that give a token of the vocabulary", &merge.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::validate;

    fn file(merges: &Json, prefix: &Json) -> Json {
        let vocab = json!({"a": 0, "b": 1, "ab": 2});
        let model = json!({"type": "BPE", "vocab": vocab, "merges": merges, "continuing_subword_prefix": prefix});
        json!({"padding": {"strategy": {"Fixed": 0}}, "model": model})
    }

    #[test]
    fn padding_is_removed() {
        assert_eq!(validate(file(&json!(["a b", ["a", "b"]]), &Json::Null)).unwrap()["padding"], Json::Null);
    }

    #[test]
    fn the_head_of_a_character_map() {
        assert!(super::check_charsmaps(&json!({"precompiled_charsmap": "BAAAAAAAAAA="})).is_ok());
    }

    #[test]
    fn what_makes_the_crate_panic_is_refused() {
        let bad_id = json!({"model": {"vocab": {"a": -1}}});
        let bad_added = json!({"added_tokens": [{"id": 4_294_967_295_u32}], "model": {}});
        let charsmap =
            |text: &str| json!({"model": {}, "normalizer": {"normalizers": [{"precompiled_charsmap": text}]}});
        let cases = [
            charsmap("/////w=="),
            charsmap("CAAAAAAA"),
            charsmap("AAA"),
            json!({"model": {}, "decoder": {"decoders": [{"content": "a".repeat(300)}]}}),
            json!({"model": {}, "version": "1".repeat(300)}),
            json!({"model": {}, "pre_tokenizer": {"pattern": {"Regex": "a".repeat(20_000)}}}),
            json!({"model": {"vocab": [["a", 0.0], ["b".repeat(1025), 0.0]]}}),
            charsmap("AAA AAA"),
            file(&json!(["ab ab"]), &Json::Null),
            file(&json!(["ab"]), &Json::Null),
            file(&json!([["a", "é"]]), &json!("#")),
            file(&json!([["a", "b"]]), &json!("##")),
            bad_id,
            bad_added,
            json!([]),
            json!({}),
        ];
        for case in cases {
            assert_eq!(validate(case).unwrap_err().code, "TOKENIZER_INVALID");
        }
    }
}
