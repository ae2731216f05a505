//! How Python writes values: chat templates are written for jinja2, where `{{ x }}` is `str(x)` and `tojson` is
//! `json.dumps`.

use std::fmt::Write;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, Output, State};

/// Deepest nesting that is written. JSON read by this crate ends at 128.
const MAX_DEPTH: usize = 256;

/// Writes the value of a `{{ … }}` as Python's `str` does.
pub(crate) fn format_output(out: &mut Output, _state: &mut State, value: &Value) -> Result<(), Error> {
    let written = match value.as_str() {
        Some(text) => out.write_str(text),
        None => out.write_str(&to_str(value)?),
    };
    written.map_err(|_| Error::new(ErrorKind::WriteFailure, "the rendered text is too long"))
}

/// Python's `str(value)`; undefined prints as nothing.
pub(crate) fn to_str(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::String => text.push_str(value.as_str().unwrap_or_default()),
        _ => repr(value, 0, &mut text)?,
    }
    Ok(text)
}

fn repr(value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
    check_depth(depth)?;
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => number(value, out),
        ValueKind::String => quoted(value.as_str().unwrap_or_default(), out),
        ValueKind::Seq => {
            let tuple = value.is_tuple();
            out.push(if tuple { '(' } else { '[' });
            for (index, item) in value.try_iter()?.enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                repr(&item, depth + 1, out)?;
            }
            out.push_str(if tuple && value.len() == Some(1) { "," } else { "" });
            out.push(if tuple { ')' } else { ']' });
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                repr(&key, depth + 1, out)?;
                out.push_str(": ");
                repr(&value.get_item(&key)?, depth + 1, out)?;
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

fn check_depth(depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("a value is nested more than {MAX_DEPTH} deep")));
    }
    Ok(())
}

fn number(value: &Value, out: &mut String) {
    match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => out.push_str(&float_repr(float)),
        _ => out.push_str(&value.to_string()),
    }
}

/// Python's `repr(float)`: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
fn float_repr(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if float == 0.0 || (-4..16).contains(&exponent) {
        return format!("{float:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Python's `repr(str)`: single quotes, unless the text holds one and no double quote.
fn quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// The `tojson` filter as transformers defines it: `json.dumps` without HTML escaping and with `ensure_ascii=False`.
///
/// Keyword arguments: `indent` (spaces, or a string), `separators` (a pair), `sort_keys`, `ensure_ascii`.
pub(crate) fn tojson(value: &Value, options: &Kwargs) -> Result<String, Error> {
    let indent: Option<Value> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let style = JsonStyle {
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        indent: indent.filter(|indent| !indent.is_none()).map(|indent| match indent.as_usize() {
            Some(width) => " ".repeat(width.min(64)),
            None => indent.to_string(),
        }),
        separators: separators.and_then(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone()))),
    };
    options.assert_all_used()?;
    let mut out = String::new();
    style.write(value, 0, &mut out)?;
    Ok(out)
}

struct JsonStyle {
    sort_keys: bool,
    ascii: bool,
    indent: Option<String>,
    separators: Option<(String, String)>,
}

impl JsonStyle {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        check_depth(depth)?;
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => number(value, out),
            ValueKind::String => self.string(value.as_str().unwrap_or_default(), out),
            ValueKind::Map => self.map(value, depth, out)?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.group('[', ']', items.len(), depth, out, |index, out| self.write(&items[index], depth + 1, out))?;
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("tojson expected a JSON value, got {}", value.kind()),
                ));
            }
        }
        Ok(())
    }

    fn map(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sort_keys {
            keys.sort();
        }
        let colon = self.separators.as_ref().map_or(": ", |(_, colon)| colon);
        self.group('{', '}', keys.len(), depth, out, |index, out| {
            let key = &keys[index];
            self.string(&to_str(key)?, out);
            out.push_str(colon);
            self.write(&value.get_item(key)?, depth + 1, out)
        })
    }

    fn group(
        &self,
        open: char,
        close: char,
        count: usize,
        depth: usize,
        out: &mut String,
        mut item: impl FnMut(usize, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let default_comma = if self.indent.is_some() { "," } else { ", " };
        let comma = self.separators.as_ref().map_or(default_comma, |(comma, _)| comma);
        out.push(open);
        for index in 0..count {
            if index > 0 {
                out.push_str(comma);
            }
            self.new_line(depth + 1, out);
            item(index, out)?;
        }
        if count > 0 {
            self.new_line(depth, out);
        }
        out.push(close);
        Ok(())
    }

    fn new_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            for _ in 0..depth {
                out.push_str(indent);
            }
        }
    }

    fn string(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use minijinja::Environment;
    use minijinja::value::{Kwargs, Serde, Value};
    use serde_json::json;

    use super::{float_repr, to_str, tojson};

    #[test]
    fn floats_read_as_in_python() {
        let cases = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (123_456.0, "123456.0"),
            (1e-4, "0.0001"),
            (0.0, "0.0"),
        ];
        for (float, text) in cases {
            assert_eq!(float_repr(float), text);
        }
    }

    #[test]
    fn values_print_as_in_python() {
        let value = Value::from(Serde(&json!({"a": [true, null, 1, 1.5], "it's": "x\n", "é": "\"'"})));
        assert_eq!(to_str(&value).unwrap(), r#"{'a': [True, None, 1, 1.5], "it's": 'x\n', 'é': '"\''}"#);
        assert_eq!(to_str(&Value::UNDEFINED).unwrap(), "");
        let tuples = Environment::new().compile_expression("[(1,), (1, 'a')]").and_then(|tuples| tuples.eval(()));
        assert_eq!(to_str(&tuples.unwrap()).unwrap(), "[(1,), (1, 'a')]");
    }

    #[test]
    fn json_is_that_of_json_dumps() {
        let value = Value::from(Serde(&json!({"b": [1, "é<\u{1}"], "a": {}})));
        assert_eq!(
            tojson(&value, &Kwargs::from_iter(Vec::<(&str, Value)>::new())).unwrap(),
            "{\"b\": [1, \"é<\\u0001\"], \"a\": {}}"
        );
        let options = Kwargs::from_iter([
            ("indent", Value::from(2)),
            ("sort_keys", Value::from(true)),
            ("ensure_ascii", Value::from(true)),
        ]);
        assert_eq!(
            tojson(&value, &options).unwrap(),
            "{\n  \"a\": {},\n  \"b\": [\n    1,\n    \"\\u00e9<\\u0001\"\n  ]\n}"
        );
        let options = Kwargs::from_iter([("separators", Value::from(vec![",", ":"]))]);
        assert_eq!(tojson(&value, &options).unwrap(), "{\"b\":[1,\"é<\\u0001\"],\"a\":{}}");
    }
}
