//! Filters for HTML and addresses.

use std::fmt::Write;

use super::super::arguments::{Given, flag, wrong};
use super::super::error::{Result, refuse};
use super::super::escape::escape;
use super::super::letters::is_space;
use super::super::run::Run;
use super::super::value::{Value, to_text};

fn escaped(run: &Run, value: &Value) -> Result<String> {
    let text = to_text(value, run.budget())?;
    run.budget().text(text.len().saturating_mul(5))?;
    Ok(escape(&text))
}

pub(super) fn escape_filter(run: &Run, value: Value, given: Given) -> Result<Value> {
    match value {
        Value::Markup(_) => Ok(value),
        other => forceescape(run, other, given),
    }
}

pub(super) fn forceescape(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("escape", [])?;
    Ok(Value::Markup(escaped(run, &value)?.into()))
}

pub(super) fn safe(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("safe", [])?;
    Ok(match value {
        Value::Text(text) | Value::Markup(text) => Value::Markup(text),
        other => Value::Markup(to_text(&other, run.budget())?.into()),
    })
}

pub(super) fn striptags(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("striptags", [])?;
    let text = to_text(&value, run.budget())?;
    let text = without(&without(&text, "<!--", "-->"), "<", ">");
    let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    unescape(&words.join(" ")).map(Value::text)
}

/// The text without what stands between two marks, the marks included.
fn without(text: &str, open: &str, close: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(open) {
        let (before, inside) = rest.split_at(at);
        let Some((_, after)) = inside.split_once(close) else { break };
        out.push_str(before);
        rest = after;
    }
    out + rest
}

fn unescape(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, after)) = inside.split_once(';').filter(|(name, _)| is_entity(name)) else {
            out.push('&');
            rest = inside;
            continue;
        };
        let letter = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "nbsp" => Some('\u{a0}'),
            _ => number(name),
        };
        match letter {
            Some(letter) => out.push(letter),
            None => return refuse(format!("striptags does not know the entity &{name};")),
        }
        rest = after;
    }
    Ok(out + rest)
}

fn is_entity(name: &str) -> bool {
    !name.is_empty() && name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#')
}

fn number(name: &str) -> Option<char> {
    let code = name.strip_prefix('#')?;
    let code = match code.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => code.parse(),
    };
    code.ok().and_then(char::from_u32)
}

/// Percent escapes, as Python's `quote` and jinja2 write them.
fn quoted(text: &str, query: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' if query => out.push('+'),
            b'/' if !query => out.push('/'),
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'~') => out.push(byte as char),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

pub(super) fn urlencode(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("urlencode", [])?;
    run.budget().text(value.size().saturating_mul(3))?;
    let pairs = match &value {
        Value::Dict(dict) => dict.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Value::List(_) | Value::Tuple(_) | Value::Cursor(_) | Value::View(_) => {
            let mut pairs = Vec::new();
            for pair in value.iterate()? {
                match <[Value; 2]>::try_from(pair.iterate()?) {
                    Ok([key, value]) => pairs.push((key, value)),
                    Err(_) => return refuse("urlencode expects pairs"),
                }
            }
            pairs
        }
        other => return Ok(Value::text(quoted(&to_text(other, run.budget())?, false))),
    };
    let mut parts = Vec::new();
    for (key, value) in pairs {
        let (key, value) = (to_text(&key, run.budget())?, to_text(&value, run.budget())?);
        parts.push(format!("{}={}", quoted(&key, true), quoted(&value, true)));
    }
    Ok(Value::text(parts.join("&")))
}

pub(super) fn xmlattr(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [space] = given.bind("xmlattr", ["autospace"])?;
    let Value::Dict(dict) = &value else { return Err(wrong(&value, "a mapping")) };
    let mut parts = Vec::new();
    for (key, value) in dict.iter() {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let name = to_text(key, run.budget())?;
        if name.contains(|c: char| is_space(c) || matches!(c, '/' | '>' | '=')) {
            return refuse(format!("Invalid character in attribute name: {name:?}"));
        }
        let value = match value {
            Value::Markup(text) => text.to_string(),
            other => escaped(run, other)?,
        };
        parts.push(format!("{}=\"{value}\"", escape(&name)));
    }
    let text = parts.join(" ");
    let leading = if flag(space.as_ref(), true) && !text.is_empty() { " " } else { "" };
    Ok(Value::text(format!("{leading}{text}")))
}
