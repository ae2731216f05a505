//! Methods that look for one text in another.

use super::super::arguments::{Given, text_of, wrong};
use super::super::error::{Result, refuse};
use super::super::value::{Value, int_of};

pub(super) fn call(text: &str, name: &str, given: Given) -> Result<Value> {
    let [what, start, stop] = given.bind(name, [""; 3])?;
    let Some(what) = what else { return refuse(format!("{name}() misses what to look for")) };
    let whole = start.is_none() && stop.is_none();
    let length = if whole { 0 } else { text.chars().count() };
    let (from, to) = bounds(length, start.as_ref(), stop.as_ref())?;
    // Past the end, or with the ends crossed, there is not even an empty text.
    let inside = whole || (from <= to && !is_past(length, start.as_ref()));
    let (skipped, part) = if whole { (0, text) } else { (from, letters(text, from, to.max(from))) };
    match name {
        "startswith" | "endswith" => {
            let holds = |affix: &str| {
                inside && if name == "startswith" { part.starts_with(affix) } else { part.ends_with(affix) }
            };
            any(&what, name, holds).map(Value::Bool)
        }
        "count" => {
            let what = text_of(Some(&what), name)?;
            let found = match (inside, what.is_empty()) {
                (false, _) => 0,
                (true, true) => part.chars().count().saturating_add(1),
                (true, false) => part.matches(what).count(),
            };
            Ok(Value::Int(found as i64))
        }
        _ => {
            let what = text_of(Some(&what), name)?;
            let found = if name.starts_with('r') { part.rfind(what) } else { part.find(what) };
            match found.filter(|_| inside) {
                Some(at) => Ok(Value::Int(skipped.saturating_add(part[..at].chars().count()) as i64)),
                None if name.ends_with("find") => Ok(Value::Int(-1)),
                None => refuse("substring not found"),
            }
        }
    }
}

/// Whether one text, or one of a tuple of texts, holds.
fn any(what: &Value, name: &str, holds: impl Fn(&str) -> bool) -> Result<bool> {
    match what {
        Value::Tuple(items) => {
            for item in &items.values {
                if holds(text_of(Some(item), name)?) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        one => Ok(holds(text_of(Some(one), name)?)),
    }
}

/// Start and stop as indices of at most `length`, as slices take them.
pub(super) fn bounds(length: usize, start: Option<&Value>, stop: Option<&Value>) -> Result<(usize, usize)> {
    let place = |bound: Option<&Value>, default: usize| match bound {
        None | Some(Value::None) => Ok(default),
        Some(value) => {
            let at = int_of(value).ok_or_else(|| wrong(value, "an integer"))?;
            let at = if at < 0 { at.saturating_add(length as i64).max(0) } else { at };
            Ok(usize::try_from(at).unwrap_or(usize::MAX).min(length))
        }
    };
    Ok((place(start, 0)?, place(stop, length)?))
}

fn is_past(length: usize, start: Option<&Value>) -> bool {
    start.and_then(int_of).is_some_and(|start| start > length as i64)
}

/// Letters `from` to `to` of a text.
fn letters(text: &str, from: usize, to: usize) -> &str {
    let at = |count: usize| text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    &text[at(from)..at(to)]
}
