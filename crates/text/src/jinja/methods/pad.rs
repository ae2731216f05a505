//! Methods that make text wider.

use super::super::arguments::{Given, int_or, text_or};
use super::super::error::{Error, Result, refuse};
use super::super::run::Run;
use super::super::value::Value;

pub(super) fn call(run: &Run, text: &str, name: &str, given: Given) -> Result<Value> {
    if name == "expandtabs" {
        let [size] = given.bind(name, ["tabsize"])?;
        return expanded(run, text, int_or(size.as_ref(), 8)?).map(Value::text);
    }
    let [width, fill] = given.bind(name, [""; 2])?;
    if width.is_none() || (name == "zfill" && fill.is_some()) {
        return refuse(format!("{name}() expects a width"));
    }
    let width = usize::try_from(int_or(width.as_ref(), 0)?).unwrap_or(0);
    let missing = width.saturating_sub(text.chars().count());
    if name == "zfill" {
        let sign = usize::from(text.starts_with(['+', '-']));
        return Ok(Value::text(format!("{}{}{}", &text[..sign], filled(run, '0', missing)?, &text[sign..])));
    }
    let fill = one_letter(text_or(fill.as_ref(), " ")?)?;
    let left = match name {
        "ljust" => 0,
        "rjust" => missing,
        // CPython puts the odd letter left only where the width is odd.
        _ if width % 2 == 1 => missing.div_ceil(2),
        _ => missing / 2,
    };
    let (before, after) = (filled(run, fill, left)?, filled(run, fill, missing.saturating_sub(left))?);
    Ok(Value::text(format!("{before}{text}{after}")))
}

fn one_letter(fill: &str) -> Result<char> {
    let mut letters = fill.chars();
    let letter = letters.next().filter(|_| letters.as_str().is_empty());
    letter.ok_or_else(|| Error::new("The fill character must be exactly one character long"))
}

/// `count` times a letter, paid before it is made.
pub(crate) fn filled(run: &Run, letter: char, count: usize) -> Result<String> {
    run.budget().text(count.saturating_mul(letter.len_utf8()))?;
    Ok(std::iter::repeat_n(letter, count).collect())
}

fn expanded(run: &Run, text: &str, size: i64) -> Result<String> {
    let size = usize::try_from(size).unwrap_or(0);
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        if c == '\t' {
            let width = usize::checked_rem(column, size).map_or(0, |over| size.saturating_sub(over));
            out.push_str(&filled(run, ' ', width)?);
            column = column.saturating_add(width);
            continue;
        }
        out.push(c);
        column = if matches!(c, '\n' | '\r') { 0 } else { column.saturating_add(1) };
    }
    Ok(out)
}
