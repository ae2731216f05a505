//! How Python writes values: `str(value)` and `repr(value)`.

use std::fmt::Write;

use super::super::budget::Budget;
use super::super::error::{Result, refuse};
use super::super::letters::is_printable;
use super::{Dict, Items, Object, Value, ViewKind};

/// Python's `str(value)`; nothing is an empty text.
pub(crate) fn to_text(value: &Value, budget: &Budget) -> Result<String> {
    match value {
        Value::Undefined(_) => Ok(String::new()),
        Value::Text(text) | Value::Markup(text) => {
            budget.text(text.len())?;
            Ok(text.to_string())
        }
        _ => repr(value, budget),
    }
}

/// Python's `repr(value)`.
pub(crate) fn repr(value: &Value, budget: &Budget) -> Result<String> {
    let mut out = String::new();
    write_repr(value, budget, &mut out)?;
    Ok(out)
}

fn write_repr(value: &Value, budget: &Budget, out: &mut String) -> Result<()> {
    budget.spend(1)?;
    match value {
        Value::Undefined(_) => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(bool) => out.push_str(if *bool { "True" } else { "False" }),
        Value::Int(int) => {
            let _ = write!(out, "{int}");
        }
        Value::Big(int) => {
            budget.text(4300)?;
            let _ = write!(out, "{int}");
        }
        Value::Float(float) => out.push_str(&float_repr(*float)),
        Value::Text(text) => quoted(text, budget, out)?,
        Value::Markup(text) => {
            out.push_str("Markup(");
            quoted(text, budget, out)?;
            out.push(')');
        }
        Value::List(items) => write_items("[", &items.values, "]", budget, out)?,
        Value::Tuple(items) => write_tuple(items, budget, out)?,
        Value::Dict(dict) => write_dict(dict, budget, out)?,
        Value::Range(range) => out.push_str(&range.written()),
        Value::View(view)
            if view.kind == ViewKind::Keys || view.kind == ViewKind::Values || view.kind == ViewKind::Items =>
        {
            let _ = write!(out, "{}(", view.kind.type_name());
            write_items("[", &view.values()?, "]", budget, out)?;
            out.push(')');
        }
        Value::Object(Object::Loop(state)) => {
            let _ = write!(out, "<LoopContext {}/{}>", state.index().saturating_add(1), state.items.len());
        }
        Value::Object(Object::Namespace(namespace)) => {
            out.push_str("<Namespace ");
            write_dict(&namespace.snapshot()?, budget, out)?;
            out.push('>');
        }
        other => return refuse(format!("a '{}' object is written with its address in memory", other.type_name())),
    }
    Ok(())
}

fn write_items(open: &str, values: &[Value], close: &str, budget: &Budget, out: &mut String) -> Result<()> {
    out.push_str(open);
    for (index, value) in values.iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        write_repr(value, budget, out)?;
    }
    out.push_str(close);
    Ok(())
}

fn write_tuple(items: &Items, budget: &Budget, out: &mut String) -> Result<()> {
    write_items("(", &items.values, if items.values.len() == 1 { ",)" } else { ")" }, budget, out)
}

fn write_dict(dict: &Dict, budget: &Budget, out: &mut String) -> Result<()> {
    out.push('{');
    for (index, (key, value)) in dict.iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        write_repr(key, budget, out)?;
        out.push_str(": ");
        write_repr(value, budget, out)?;
    }
    out.push('}');
    Ok(())
}

/// Python's `repr(float)`: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
pub(crate) fn float_repr(float: f64) -> String {
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
fn quoted(text: &str, budget: &Budget, out: &mut String) -> Result<()> {
    budget.text(text.len())?;
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
            c if is_printable(c) => out.push(c),
            c => {
                let code = c as u32;
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::float_repr;

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
}
