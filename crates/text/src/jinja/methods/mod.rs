//! Methods of Python's types. Those that would change a value are refused, as in jinja2's immutable sandbox.

mod case;
mod find;
mod mapping;
mod pad;
mod split;
mod text;

pub(crate) use pad::filled;
pub(crate) use text::{replaced, strip};

use super::arguments::Given;
use super::error::{Error, Result};
use super::escape::escape;
use super::run::Run;
use super::value::{Value, equal};

const TEXT: [&str; 44] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];
const DICT: [&str; 5] = ["copy", "get", "items", "keys", "values"];
const SEQUENCE: [&str; 2] = ["count", "index"];

/// True when values of this type have a method of this name that can be called.
pub(crate) fn exists(base: &Value, name: &str) -> bool {
    match base {
        Value::Text(_) | Value::Markup(_) => TEXT.contains(&name),
        Value::Dict(_) => DICT.contains(&name),
        Value::List(_) => SEQUENCE.contains(&name) || name == "copy",
        Value::Tuple(_) | Value::Range(_) => SEQUENCE.contains(&name),
        Value::Float(_) => name == "is_integer",
        Value::Int(_) | Value::Big(_) | Value::Bool(_) => name == "bit_length" || name == "is_integer",
        _ => false,
    }
}

/// True when values of this type have a method of this name that changes them.
pub(crate) fn changes(base: &Value, name: &str) -> bool {
    match base {
        Value::Dict(_) => matches!(name, "clear" | "pop" | "popitem" | "setdefault" | "update"),
        Value::List(_) => {
            matches!(name, "append" | "clear" | "pop" | "reverse" | "insert" | "sort" | "extend" | "remove")
        }
        _ => false,
    }
}

/// A field of Python's numbers and ranges.
pub(crate) fn field(base: &Value, name: &str) -> Option<Value> {
    match (base, name) {
        (Value::Tuple(items), "grouper") if items.is_group => items.values.first().cloned(),
        (Value::Tuple(items), "list") if items.is_group => items.values.get(1).cloned(),
        (Value::Range(range), "start") => Some(Value::Int(range.start)),
        (Value::Range(range), "stop") => Some(Value::Int(range.stop)),
        (Value::Range(range), "step") => Some(Value::Int(range.step)),
        (Value::Float(_), "real") | (Value::Int(_) | Value::Big(_), "real" | "numerator") => Some(base.clone()),
        (Value::Int(_) | Value::Big(_), "denominator") => Some(Value::Int(1)),
        (Value::Int(_) | Value::Big(_), "imag") => Some(Value::Int(0)),
        (Value::Float(_), "imag") => Some(Value::Float(0.0)),
        _ => None,
    }
}

/// Calls a method that [`exists`].
pub(crate) fn call(run: &Run, base: &Value, name: &str, given: Given) -> Result<Value> {
    match base {
        Value::Text(receiver) => text::call(run, receiver, name, given),
        Value::Markup(receiver) => markup(run, receiver, name, given),
        Value::Dict(dict) => mapping::call(dict, name, given),
        Value::List(_) if name == "copy" => {
            let [] = given.bind(name, [])?;
            Ok(base.clone())
        }
        Value::List(items) | Value::Tuple(items) => sequence(run, &items.values, name, given),
        Value::Range(range) => {
            run.budget().items(range.len())?;
            sequence(run, &range.values(), name, given)
        }
        Value::Float(float) => {
            let [] = given.bind(name, [])?;
            Ok(Value::Bool(float.is_finite() && float.fract() == 0.0))
        }
        number => {
            let [] = given.bind(name, [])?;
            let bits = super::value::to_big(number).map_or(0, |int| int.bits());
            Ok(if name == "bit_length" { Value::Int(bits as i64) } else { Value::Bool(true) })
        }
    }
}

/// Methods of text that is already escaped: texts that are given get escaped, texts that come out are markup.
fn markup(run: &Run, receiver: &str, name: &str, given: Given) -> Result<Value> {
    let escaped = |value: Value| match value {
        Value::Text(text) => Value::text(escape(&text)),
        Value::Markup(text) => Value::Text(text),
        other => other,
    };
    let (positional, named) = given.into_parts();
    let given = Given::new(
        positional.into_iter().map(escaped).collect(),
        named.into_iter().map(|(name, value)| (name, escaped(value))).collect(),
    );
    let marked = |value: Value| match value {
        Value::Text(text) => Value::Markup(text),
        other => other,
    };
    Ok(match text::call(run, receiver, name, given)? {
        Value::List(items) => Value::list(items.values.iter().cloned().map(marked).collect())?,
        Value::Tuple(items) => Value::tuple(items.values.iter().cloned().map(marked).collect())?,
        other => marked(other),
    })
}

fn sequence(run: &Run, values: &[Value], name: &str, given: Given) -> Result<Value> {
    run.budget().items(values.len())?;
    let [item, start, stop] = given.bind(name, [""; 3])?;
    let item = item.unwrap_or_else(|| Value::undefined("the item to look for is missing"));
    if name == "count" {
        return Ok(Value::Int(values.iter().filter(|value| equal(value, &item)).count() as i64));
    }
    let (from, to) = find::bounds(values.len(), start.as_ref(), stop.as_ref())?;
    let found = values.iter().enumerate().take(to).skip(from).find(|(_, value)| equal(value, &item));
    let (at, _) = found.ok_or_else(|| Error::new("the value is not in the list"))?;
    Ok(Value::Int(at as i64))
}
