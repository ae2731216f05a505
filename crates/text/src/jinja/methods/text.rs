//! Methods of text: which function answers to which name.

use super::super::arguments::{Given, int_or, text_of};
use super::super::error::{Result, refuse};
use super::super::format::braces;
use super::super::letters::{is_printable, is_space};
use super::super::run::Run;
use super::super::value::Value;
use super::{case, find, pad, split};

pub(super) fn call(run: &Run, text: &str, name: &str, given: Given) -> Result<Value> {
    run.budget().text(text.len())?;
    match name {
        "split" | "rsplit" | "splitlines" | "partition" | "rpartition" => split::call(run, text, name, given),
        "center" | "ljust" | "rjust" | "zfill" | "expandtabs" => pad::call(run, text, name, given),
        "find" | "rfind" | "index" | "rindex" | "count" | "startswith" | "endswith" => find::call(text, name, given),
        "strip" | "lstrip" | "rstrip" | "removeprefix" | "removesuffix" => trimmed(text, name, given),
        "replace" => replace(run, text, given),
        "join" => join(run, text, given),
        "format" => braces::format(run, text, given),
        "format_map" => {
            let [mapping] = given.bind(name, [""])?;
            match mapping {
                Some(Value::Dict(dict)) => {
                    let named = dict.iter().filter_map(|(key, value)| Some((key.as_text()?.into(), value.clone())));
                    braces::format(run, text, Given::new(Vec::new(), named.collect()))
                }
                _ => refuse("format_map() expects a mapping"),
            }
        }
        _ => {
            let [] = given.bind(name, [])?;
            Ok(match case::converted(text, name) {
                Some(converted) => Value::text(converted),
                None => Value::Bool(is(text, name)),
            })
        }
    }
}

/// `isalpha` and the like.
fn is(text: &str, name: &str) -> bool {
    use unicode_categories::UnicodeCategories;
    let all = |holds: fn(char) -> bool| !text.is_empty() && text.chars().all(holds);
    match name {
        "isalnum" => all(|c| c.is_letter() || c.is_number()),
        "isalpha" => all(UnicodeCategories::is_letter),
        "isascii" => text.is_ascii(),
        "isdecimal" => all(UnicodeCategories::is_number_decimal_digit),
        "isdigit" => all(is_digit),
        "isnumeric" => all(UnicodeCategories::is_number),
        "isspace" => all(is_space),
        "isprintable" => text.chars().all(is_printable),
        "isidentifier" => {
            let begins = text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
            begins && text.chars().all(|c| c.is_alphanumeric() || c == '_')
        }
        _ => case::is(text, name),
    }
}

/// Decimal digits, and those that are set high or low or in circles.
fn is_digit(c: char) -> bool {
    use unicode_categories::UnicodeCategories;
    let in_circles = matches!(c, '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}');
    let raised = matches!(c, '²' | '³' | '¹' | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}');
    c.is_number_decimal_digit() || raised || in_circles
}

fn trimmed(text: &str, name: &str, given: Given) -> Result<Value> {
    let [what] = given.bind(name, [""])?;
    if matches!(name, "removeprefix" | "removesuffix") {
        let affix = text_of(what.as_ref(), name)?;
        let rest = if name == "removeprefix" { text.strip_prefix(affix) } else { text.strip_suffix(affix) };
        return Ok(Value::text(rest.unwrap_or(text)));
    }
    let letters = what.filter(|what| !matches!(what, Value::None));
    let letters = letters.as_ref().map(|letters| text_of(Some(letters), name)).transpose()?;
    Ok(Value::text(strip(text, letters, name != "rstrip", name != "lstrip")))
}

/// Python's `strip`: whitespace, or any of some letters.
pub(crate) fn strip<'a>(text: &'a str, letters: Option<&str>, left: bool, right: bool) -> &'a str {
    let goes = |c: char| letters.map_or_else(|| is_space(c), |letters| letters.contains(c));
    let text = if left { text.trim_start_matches(goes) } else { text };
    if right { text.trim_end_matches(goes) } else { text }
}

fn replace(run: &Run, text: &str, given: Given) -> Result<Value> {
    let [old, new, count] = given.bind("replace", ["", "", "count"])?;
    let (old, new) = (text_of(old.as_ref(), "replace")?, text_of(new.as_ref(), "replace")?);
    let count = int_or(count.as_ref(), -1)?;
    replaced(run, text, old, new, count).map(Value::text)
}

/// `text` with the first `count` occurrences replaced; all of them for a negative count.
pub(crate) fn replaced(run: &Run, text: &str, old: &str, new: &str, count: i64) -> Result<String> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let found = text.matches(old).count().min(count);
    run.budget().text(text.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(text.replacen(old, new, count))
}

fn join(run: &Run, text: &str, given: Given) -> Result<Value> {
    let [items] = given.bind("join", [""])?;
    let Some(items) = items else { return refuse("join() takes exactly one argument (0 given)") };
    run.budget().items(items.size())?;
    let mut out = String::new();
    for (index, item) in items.iterate()?.iter().enumerate() {
        let Some(part) = item.as_text() else {
            return refuse(format!("sequence item {index}: expected str instance, {} found", item.type_name()));
        };
        let separator = if index > 0 { text } else { "" };
        run.budget().text(separator.len().saturating_add(part.len()))?;
        out.push_str(separator);
        out.push_str(part);
    }
    Ok(Value::text(out))
}
