//! What is checked of a `tokenizer.json` before the tokenizers crate sees it.
//!
//! Version 0.23 of the crate panics on a merge longer than every token and on padding to length 0, and builds invalid
//! text from a subword prefix that cuts a character. Those are refused here; what else panics is caught by `guard`.

use serde_json::{Map, Value as Json};

use crate::error::{Result, TextError};

const PLACE: &str = "tokenizer.json";

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
    let model = fields.get("model").and_then(Json::as_object).ok_or_else(|| invalid("a `model` object", "none"))?;
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

fn check_merges(model: &Map<String, Json>, vocab: &Map<String, Json>) -> Result<()> {
    let longest = vocab.keys().map(String::len).max().unwrap_or(0);
    let prefix = model.get("continuing_subword_prefix").and_then(Json::as_str).unwrap_or_default().len();
    for merge in model.get("merges").and_then(Json::as_array).into_iter().flatten() {
        let pair = match merge {
            Json::String(text) => text.split_once(' '),
            _ => merge[0].as_str().zip(merge[1].as_str()),
        };
        let (left, right) = pair.ok_or_else(|| invalid("merges of two tokens", &merge.to_string()))?;
        if !right.is_char_boundary(prefix) || left.len() + right.len() - prefix > longest {
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
    fn what_makes_the_crate_panic_is_refused() {
        let bad_id = json!({"model": {"vocab": {"a": -1}}});
        let bad_added = json!({"added_tokens": [{"id": 4_294_967_295_u32}], "model": {}});
        let cases = [
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
