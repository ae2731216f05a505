//! Methods that cut text into pieces.

use crate::ends::before;

use super::super::arguments::{Given, flag, int_or, text_of};
use super::super::error::{Result, refuse};
use super::super::letters::is_space;
use super::super::run::Run;
use super::super::value::Value;

pub(super) fn call(run: &Run, text: &str, name: &str, given: Given) -> Result<Value> {
    match name {
        "splitlines" => {
            let [keep] = given.bind(name, ["keepends"])?;
            list(run, lines(text, flag(keep.as_ref(), false)))
        }
        "partition" | "rpartition" => {
            let [separator] = given.bind(name, [""])?;
            partition(text, text_of(separator.as_ref(), name)?, name == "rpartition")
        }
        _ => {
            let [separator, most] = given.bind(name, ["sep", "maxsplit"])?;
            let most = usize::try_from(int_or(most.as_ref(), -1)?).unwrap_or(usize::MAX);
            let pieces = most.saturating_add(1);
            let from_right = name == "rsplit";
            let separator = separator.filter(|separator| !matches!(separator, Value::None));
            let Some(separator) = separator else { return list(run, words(text, most, from_right)) };
            let separator = text_of(Some(&separator), name)?;
            if separator.is_empty() {
                return refuse("empty separator");
            }
            if from_right {
                let mut pieces: Vec<&str> = text.rsplitn(pieces, separator).collect();
                pieces.reverse();
                return list(run, pieces);
            }
            list(run, text.splitn(pieces, separator).collect())
        }
    }
}

fn list(run: &Run, pieces: Vec<&str>) -> Result<Value> {
    // A piece is a value and a text of its own.
    run.budget().items(pieces.len().saturating_mul(4))?;
    Value::list(pieces.into_iter().map(Value::text).collect())
}

fn partition(text: &str, separator: &str, from_right: bool) -> Result<Value> {
    if separator.is_empty() {
        return refuse("empty separator");
    }
    let found = if from_right { text.rsplit_once(separator) } else { text.split_once(separator) };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    Value::tuple(parts.into_iter().map(Value::text).collect())
}

/// Words between whitespace; past `most` cuts the rest is one piece.
fn words(text: &str, most: usize, from_right: bool) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = if from_right { text.trim_end_matches(is_space) } else { text.trim_start_matches(is_space) };
    while !rest.is_empty() {
        let cut = if pieces.len() == most {
            None
        } else if from_right {
            rest.rsplit_once(is_space)
        } else {
            rest.split_once(is_space)
        };
        let Some((before, after)) = cut else {
            let last = if from_right { rest.trim_start_matches(is_space) } else { rest.trim_end_matches(is_space) };
            pieces.push(if pieces.len() == most { rest } else { last });
            break;
        };
        if from_right {
            pieces.push(after);
            rest = before.trim_end_matches(is_space);
        } else {
            pieces.push(before);
            rest = after.trim_start_matches(is_space);
        }
    }
    if from_right {
        pieces.reverse();
    }
    pieces
}

/// Python's line ends.
fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let is_end = |c: char| {
        matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, end) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
        let after = end.strip_prefix("\r\n").or_else(|| end.strip_prefix(is_end)).unwrap_or_default();
        pieces.push(if keep_ends { before(rest, after) } else { line });
        rest = after;
    }
    pieces
}
