//! JSON text whose integers may have any size. The parser keeps 64 bits; an integer beyond them is put aside as an object
//! of one field that holds its digits, which templates see as the number it is.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::ends::before;

/// The field's name, which no row has: rows come from tables and programs, and it begins with a control character.
const FIELD: &str = "\0integer";

/// Parses JSON text without losing digits of integers.
///
/// # Errors
/// What the parser says about text that is not JSON, or is nested 128 levels deep.
pub fn parse_json(text: &str) -> serde_json::Result<Json> {
    serde_json::from_str(&with_long_integers_aside(text))
}

/// The digits of an integer that was put aside.
pub(crate) fn long_integer(json: &Json) -> Option<&str> {
    let fields = json.as_object().filter(|fields| fields.len() == 1)?;
    fields.get(FIELD)?.as_str()
}

fn with_long_integers_aside(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut uncopied, mut rest) = (text, text);
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit() || matches!(c, '"' | '-')) {
        let found = &rest[at..];
        if let Some(string) = found.strip_prefix('"') {
            rest = after_string(string);
            continue;
        }
        rest = found.trim_start_matches(is_of_number);
        if let Some(other) = rewritten(before(found, rest)) {
            out.push_str(before(uncopied, found));
            out.push_str(&other);
            uncopied = rest;
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(out + uncopied)
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')
}

/// How a number is written for the parser, where it would read it otherwise than Python does.
fn rewritten(number: &str) -> Option<String> {
    if number == "-0" {
        return Some("0".to_owned());
    }
    let digits = number.strip_prefix('-').unwrap_or(number);
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let fits = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    (is_integer && !fits && !digits.is_empty()).then(|| format!("{{\"\\u0000integer\":\"{number}\"}}"))
}

/// What follows a string that is read from after its opening quote.
fn after_string(string: &str) -> &str {
    let mut rest = string;
    while let Some((_, end)) = rest.find(['"', '\\']).map(|at| rest.split_at(at)) {
        if let Some(after) = end.strip_prefix('"') {
            return after;
        }
        let mut escape = end.chars();
        escape.nth(1);
        rest = escape.as_str();
    }
    ""
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{long_integer, parse_json};

    #[test]
    fn long_integers_keep_their_digits_and_all_else_is_as_it_was() {
        let text =
            r#"{"a": [-12345678901234567890123, 18446744073709551615, 1.5e3, -0], "b\"9999999999999999999999": "1"}"#;
        let json = parse_json(text).unwrap();
        assert_eq!(long_integer(&json["a"][0]), Some("-12345678901234567890123"));
        assert_eq!(json["a"][1], json!(18_446_744_073_709_551_615_u64));
        assert_eq!(json["a"][2], json!(1500.0));
        assert_eq!(json["a"][3], json!(0));
        assert_eq!(json["b\"9999999999999999999999"], json!("1"));
    }

    #[test]
    fn what_is_no_number_stays_an_error() {
        for text in ["012345678901234567890123", "1-2", "{\"a\": --99999999999999999999}", "\"", "-"] {
            assert!(parse_json(text).is_err(), "{text}");
        }
    }
}
