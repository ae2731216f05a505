//! `tojson` as transformers has it: `json.dumps` without HTML escaping and with `ensure_ascii=False`; `pprint`.

use std::fmt::Write;

use super::super::arguments::{Given, flag};
use super::super::budget::Budget;
use super::super::error::{Result, refuse};
use super::super::methods::filled;
use super::super::run::Run;
use super::super::value::{Dict, Value, float_repr, int_of, repr, sort_by, to_text};

pub(super) fn tojson(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [ascii, indent, separators, sort_keys] =
        given.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])?;
    let indent = match indent.filter(|indent| !matches!(indent, Value::None)) {
        None => None,
        Some(indent) => match (indent.as_text(), int_of(&indent)) {
            (Some(text), _) => Some(text.to_owned()),
            (None, Some(width)) => Some(filled(run, ' ', usize::try_from(width).unwrap_or(0))?),
            (None, None) => return refuse("tojson expects indent to be a number or text"),
        },
    };
    let separators = separators.filter(|separators| !matches!(separators, Value::None));
    let [comma, colon] = match &separators {
        None => [if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()],
        Some(pair) => match pair.iterate()?.as_slice() {
            [comma, colon] => match (comma.as_text(), colon.as_text()) {
                (Some(comma), Some(colon)) => [comma.to_owned(), colon.to_owned()],
                _ => return refuse("tojson expects separators to be two texts"),
            },
            _ => return refuse("tojson expects separators to be two texts"),
        },
    };
    let ascii = flag(ascii.as_ref(), false);
    let writer =
        Writer { budget: run.budget(), ascii, indent, comma, colon, sort_keys: flag(sort_keys.as_ref(), false) };
    let mut out = String::new();
    writer.write(&value, 0, &mut out)?;
    Ok(Value::text(out))
}

/// A value as `json.dumps` writes it.
///
/// # Errors
/// For a value that JSON does not have, and one of more than a million parts.
pub(crate) fn json_text(value: &Value) -> Result<String> {
    let budget = Budget::new(1_000_000);
    let (comma, colon) = (", ".to_owned(), ": ".to_owned());
    let writer = Writer { budget: &budget, ascii: false, indent: None, comma, colon, sort_keys: false };
    let mut out = String::new();
    writer.write(value, 0, &mut out)?;
    Ok(out)
}

struct Writer<'a> {
    budget: &'a Budget,
    ascii: bool,
    indent: Option<String>,
    comma: String,
    colon: String,
    sort_keys: bool,
}

impl Writer<'_> {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<()> {
        self.budget.spend(1)?;
        match value {
            Value::Text(text) | Value::Markup(text) => self.text(text, out)?,
            Value::List(items) | Value::Tuple(items) => {
                self.group(['[', ']'], &items.values, depth, out, |value, inner, out| self.write(value, inner, out))?;
            }
            Value::Dict(dict) => self.dict(dict, depth, out)?,
            other => match plain(other, self.budget)? {
                Some(text) => out.push_str(&text),
                None => return refuse(format!("Object of type {} is not JSON serializable", other.type_name())),
            },
        }
        Ok(())
    }

    fn dict(&self, dict: &Dict, depth: usize, out: &mut String) -> Result<()> {
        let mut entries: Vec<(&Value, &Value)> = dict.iter().collect();
        if self.sort_keys {
            entries = sort_by(entries.into_iter().map(|entry| (entry.0.clone(), entry)).collect(), false)?;
        }
        self.group(['{', '}'], entries, depth, out, |(key, value), inner, out| {
            match (key.as_text(), plain(key, self.budget)?) {
                (Some(key), _) => self.text(key, out)?,
                (None, Some(key)) => self.text(&key, out)?,
                (None, None) => {
                    let kind = key.type_name();
                    return refuse(format!("keys must be str, int, float, bool or None, not {kind}"));
                }
            }
            out.push_str(&self.colon);
            self.write(value, inner, out)
        })
    }

    fn group<T>(
        &self,
        [open, close]: [char; 2],
        items: impl IntoIterator<Item = T>,
        depth: usize,
        out: &mut String,
        mut item: impl FnMut(T, usize, &mut String) -> Result<()>,
    ) -> Result<()> {
        out.push(open);
        let inner = depth.saturating_add(1);
        let mut is_empty = true;
        for value in items {
            if !std::mem::take(&mut is_empty) {
                out.push_str(&self.comma);
            }
            self.new_line(inner, out)?;
            item(value, inner, out)?;
        }
        if !is_empty {
            self.new_line(depth, out)?;
        }
        out.push(close);
        Ok(())
    }

    fn new_line(&self, depth: usize, out: &mut String) -> Result<()> {
        if let Some(indent) = &self.indent {
            self.budget.text(depth.saturating_mul(indent.len()))?;
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
        Ok(())
    }

    fn text(&self, text: &str, out: &mut String) -> Result<()> {
        self.budget.text(text.len())?;
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
                c if (c as u32) < 0x20 || (self.ascii && (!c.is_ascii() || c == '\u{7f}')) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
        Ok(())
    }
}

/// A value that JSON writes as one word.
fn plain(value: &Value, budget: &Budget) -> Result<Option<String>> {
    Ok(Some(match value {
        Value::None => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Int(_) | Value::Big(_) => to_text(value, budget)?,
        Value::Float(float) if float.is_nan() => "NaN".to_owned(),
        Value::Float(float) if float.is_infinite() => if *float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Value::Float(float) => float_repr(*float),
        _ => return Ok(None),
    }))
}

/// What fits into one line is written as `repr` writes it, with the keys of mappings in order.
pub(super) fn pprint(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("pprint", [])?;
    let text = repr(&in_order(&value)?, run.budget())?;
    if text.chars().count() > 80 {
        return refuse("the filter 'pprint' is not supported for values longer than one line");
    }
    Ok(Value::text(text))
}

fn in_order(value: &Value) -> Result<Value> {
    match value {
        Value::List(items) => Value::list(items.values.iter().map(in_order).collect::<Result<_>>()?),
        Value::Tuple(items) => Value::tuple(items.values.iter().map(in_order).collect::<Result<_>>()?),
        Value::Dict(dict) => {
            let entries = dict.iter().map(|(key, value)| Ok((key.clone(), (key.clone(), in_order(value)?))));
            Ok(Dict::new(sort_by(entries.collect::<Result<_>>()?, false)?)?.into_value())
        }
        other => Ok(other.clone()),
    }
}
