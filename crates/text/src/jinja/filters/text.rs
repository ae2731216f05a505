//! Filters of text. What is no text is written first, as jinja2 does.

use super::super::arguments::{Given, flag, int_or, text_of, text_or};
use super::super::error::{Result, refuse};
use super::super::format::percent;
use super::super::letters::is_space;
use super::super::methods::{self, filled, replaced, strip};
use super::super::run::Run;
use super::super::value::{Dict, Value, to_text};

/// The text of a value, and whether it is markup.
fn soft(run: &Run, value: &Value) -> Result<(String, bool)> {
    Ok((to_text(value, run.budget())?, matches!(value, Value::Markup(_))))
}

fn same_kind(text: String, is_markup: bool) -> Value {
    if is_markup { Value::Markup(text.into()) } else { Value::text(text) }
}

pub(super) fn string(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("string", [])?;
    match value {
        Value::Text(_) | Value::Markup(_) => Ok(value),
        other => Ok(Value::text(to_text(&other, run.budget())?)),
    }
}

fn method(run: &Run, value: &Value, name: &str, given: Given) -> Result<Value> {
    let (text, is_markup) = soft(run, value)?;
    methods::call(run, &same_kind(text, is_markup), name, given)
}

pub(super) fn upper(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("upper", [])?;
    method(run, &value, "upper", Given::default())
}

pub(super) fn lower(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("lower", [])?;
    method(run, &value, "lower", Given::default())
}

pub(super) fn capitalize(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("capitalize", [])?;
    method(run, &value, "capitalize", Given::default())
}

pub(super) fn center(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [width] = given.bind("center", ["width"])?;
    method(run, &value, "center", Given::new(vec![width.unwrap_or(Value::Int(80))], Vec::new()))
}

/// Words begin after hyphens, whitespace and opening brackets.
pub(super) fn title(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("title", [])?;
    let (text, _) = soft(run, &value)?;
    let begins = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if begins(c) {
            out.push_str(&capitalized_word(&word));
            word.clear();
            out.push(c);
        } else {
            word.push(c);
        }
    }
    out.push_str(&capitalized_word(&word));
    Ok(Value::text(out))
}

/// The first letter in large, all others in small letters.
fn capitalized_word(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + &letters.as_str().to_lowercase())
}

pub(super) fn trim(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [letters] = given.bind("trim", ["chars"])?;
    let (text, is_markup) = soft(run, &value)?;
    let letters = letters.filter(|letters| !matches!(letters, Value::None));
    let letters = letters.as_ref().map(|letters| text_of(Some(letters), "trim")).transpose()?;
    Ok(same_kind(strip(&text, letters, true, true).to_owned(), is_markup))
}

pub(super) fn replace(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [old, new, count] = given.bind("replace", ["old", "new", "count"])?;
    let (text, _) = soft(run, &value)?;
    let (Some(old), Some(new)) = (old, new) else { return refuse("replace() misses an argument") };
    let (old, new) = (to_text(&old, run.budget())?, to_text(&new, run.budget())?);
    let count = count.filter(|count| !matches!(count, Value::None));
    replaced(run, &text, &old, &new, int_or(count.as_ref(), -1)?).map(Value::text)
}

pub(super) fn format(run: &Run, value: Value, given: Given) -> Result<Value> {
    let (positional, named) = given.into_parts();
    if !positional.is_empty() && !named.is_empty() {
        return refuse("can't handle positional and keyword arguments at the same time");
    }
    let (text, is_markup) = soft(run, &value)?;
    let values = if named.is_empty() {
        Value::tuple(positional)?
    } else {
        let entries = named.into_iter().map(|(name, value)| (Value::Text(name), value));
        Dict::new(entries)?.into_value()
    };
    percent::format(run, &same_kind(text, is_markup), &values)
}

pub(super) fn indent(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [width, first, blank] = given.bind("indent", ["width", "first", "blank"])?;
    let indention = match &width {
        Some(Value::Text(text) | Value::Markup(text)) => text.to_string(),
        width => filled(run, ' ', usize::try_from(int_or(width.as_ref(), 4)?).unwrap_or(0))?,
    };
    let Some(text) = value.as_text() else { return refuse("indent expects text") };
    let text = format!("{text}\n");
    let lines = methods::call(run, &Value::text(text.as_str()), "splitlines", Given::default())?.iterate()?;
    run.budget().text(text.len().saturating_add(lines.len().saturating_mul(indention.len())))?;
    let blank = flag(blank.as_ref(), false);
    let mut out = String::new();
    if flag(first.as_ref(), false) {
        out.push_str(&indention);
    }
    for (index, line) in lines.iter().filter_map(Value::as_text).enumerate() {
        if index > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&indention);
            }
        }
        out.push_str(line);
    }
    Ok(same_kind(out, matches!(value, Value::Markup(_))))
}

pub(super) fn truncate(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [length, killwords, end, leeway] = given.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let (length, end) = (int_or(length.as_ref(), 255)?, text_or(end.as_ref(), "...")?);
    let leeway = leeway.filter(|leeway| !matches!(leeway, Value::None));
    let leeway = int_or(leeway.as_ref(), 5)?;
    let ending = end.chars().count() as i64;
    if length < ending {
        return refuse(format!("expected length >= {ending}, got {length}"));
    }
    if leeway < 0 {
        return refuse(format!("expected leeway >= 0, got {leeway}"));
    }
    let text = match value.as_text() {
        Some(text) => text.to_owned(),
        None => return refuse(format!("object of type '{}' has no len()", value.type_name())),
    };
    run.budget().text(text.len())?;
    if text.chars().count() as i64 <= length.saturating_add(leeway) {
        return Ok(value);
    }
    let kept: String = text.chars().take(usize::try_from(length.saturating_sub(ending)).unwrap_or(0)).collect();
    let kept = if flag(killwords.as_ref(), false) {
        kept.as_str()
    } else {
        kept.rsplit_once(' ').map_or(kept.as_str(), |(kept, _)| kept)
    };
    Ok(Value::text(format!("{kept}{end}")))
}

pub(super) fn wordcount(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("wordcount", [])?;
    let (text, _) = soft(run, &value)?;
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    Ok(Value::Int(words.count() as i64))
}
