//! Filters of lists and mappings.

use std::rc::Rc;

use indexmap::IndexSet;

use super::super::arguments::{Given, flag, int_or, text_or, wrong};
use super::super::error::{Error, Result, refuse};
use super::super::run::Run;
use super::super::syntax::ast::{Arithmetic, Comparison};
use super::super::value::{Key, Value, View, ViewKind, compare, sort_by, to_text};
use super::access::{folded, path, values};

pub(super) fn length(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("length", [])?;
    run.budget().text(value.as_text().map_or(0, str::len))?;
    match value.length() {
        Some(length) => Ok(Value::Int(length as i64)),
        None => refuse(format!("object of type '{}' has no len()", value.type_name())),
    }
}

pub(super) fn first(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("first", [])?;
    let none = || Value::undefined("No first item, sequence was empty.");
    Ok(match &value {
        Value::Text(text) => text.chars().next().map_or_else(none, Value::letter),
        Value::List(items) | Value::Tuple(items) => items.values.first().cloned().unwrap_or_else(none),
        Value::Cursor(cursor) => cursor.next().unwrap_or_else(none),
        other => other.iterate()?.into_iter().next().unwrap_or_else(none),
    })
}

pub(super) fn last(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("last", [])?;
    let none = || Value::undefined("No last item, sequence was empty.");
    Ok(match &value {
        Value::Text(text) => text.chars().next_back().map_or_else(none, Value::letter),
        Value::List(items) | Value::Tuple(items) => items.values.last().cloned().unwrap_or_else(none),
        Value::Cursor(_) => return refuse("'generator' object is not reversible"),
        other => other.iterate()?.pop().unwrap_or_else(none),
    })
}

pub(super) fn random(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("random", [])?;
    match value.iterate()?.as_slice() {
        [] => Ok(Value::undefined("No random item, sequence was empty.")),
        [one] => Ok(one.clone()),
        _ => refuse("the filter 'random' is refused: it gives another value each time"),
    }
}

pub(super) fn list(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("list", [])?;
    Value::list(values(run, &value)?)
}

pub(super) fn items(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("items", [])?;
    match value {
        Value::Undefined(_) => Value::cursor("generator", Vec::new()),
        Value::Dict(dict) => Value::cursor("generator", View { dict, kind: ViewKind::Items }.values()?),
        _ => refuse("Can only get item pairs from a mapping."),
    }
}

pub(super) fn reverse(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("reverse", [])?;
    let kind = match &value {
        Value::Text(text) => {
            run.budget().text(text.len())?;
            return Ok(Value::text(text.chars().rev().collect::<String>()));
        }
        Value::List(_) => "list_reverseiterator",
        Value::Dict(_) => "dict_reversekeyiterator",
        Value::Range(_) => "range_iterator",
        Value::Cursor(_) => {
            let mut values = values(run, &value)?;
            values.reverse();
            return Value::list(values);
        }
        _ => "reversed",
    };
    let mut values = values(run, &value)?;
    values.reverse();
    Value::cursor(kind, values)
}

pub(super) fn join(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [separator, attribute] = given.bind("join", ["d", "attribute"])?;
    let separator = separator.map_or(Ok(String::new()), |separator| to_text(&separator, run.budget()))?;
    let mut items = values(run, &value)?;
    if let Some(attribute) = attribute.filter(|attribute| !matches!(attribute, Value::None)) {
        items = items.iter().map(|item| path(run, item, &attribute)).collect::<Result<_>>()?;
    }
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            run.budget().text(separator.len())?;
            out.push_str(&separator);
        }
        out.push_str(&to_text(item, run.budget())?);
    }
    Ok(Value::text(out))
}

/// Values with what they are compared by.
fn keyed(run: &Run, items: Vec<Value>, attribute: Option<&Value>, case: bool) -> Result<Vec<(Value, Value)>> {
    let key = |item: Value| {
        let key = match attribute {
            Some(attribute) if !matches!(attribute, Value::None) => path(run, &item, attribute)?,
            _ => item.clone(),
        };
        Ok((if case { key } else { folded(run, &key)? }, item))
    };
    items.into_iter().map(key).collect()
}

pub(super) fn sort(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [reverse, case, attribute] = given.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
    let case = flag(case.as_ref(), false);
    let attribute = attribute.filter(|attribute| !matches!(attribute, Value::None));
    let paths: Vec<Value> = match attribute.as_ref().map(|attribute| (attribute, attribute.as_text())) {
        None => Vec::new(),
        Some((_, Some(paths))) => paths.split(',').map(Value::text).collect(),
        Some((index, None)) => vec![index.clone()],
    };
    let fold = |key: Value| if case { Ok(key) } else { folded(run, &key) };
    // Keys are lists, as in jinja2: equal ones need no order between them.
    let keyed = values(run, &value)?.into_iter().map(|item| {
        let parts = if paths.is_empty() {
            vec![fold(item.clone())?]
        } else {
            paths.iter().map(|key| fold(path(run, &item, key)?)).collect::<Result<_>>()?
        };
        Ok((Value::list(parts)?, item))
    });
    Value::list(sort_by(keyed.collect::<Result<_>>()?, flag(reverse.as_ref(), false))?)
}

pub(super) fn dictsort(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [case, by, reverse] = given.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let at = match text_or(by.as_ref(), "key")? {
        "key" => 0,
        "value" => 1,
        _ => return refuse("You can only sort by either \"key\" or \"value\""),
    };
    let Value::Dict(dict) = &value else { return Err(wrong(&value, "a mapping")) };
    let pairs = View { dict: Rc::clone(dict), kind: ViewKind::Items }.values()?;
    let keyed = keyed(run, pairs, Some(&Value::Int(at)), flag(case.as_ref(), false))?;
    Value::list(sort_by(keyed, flag(reverse.as_ref(), false))?)
}

pub(super) fn unique(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [case, attribute] = given.bind("unique", ["case_sensitive", "attribute"])?;
    let keyed = keyed(run, values(run, &value)?, attribute.as_ref(), flag(case.as_ref(), false))?;
    let mut seen = IndexSet::new();
    let mut kept = Vec::new();
    for (key, item) in keyed {
        if seen.insert(Key::new(key)?) {
            kept.push(item);
        }
    }
    Value::cursor("generator", kept)
}

fn extreme(run: &Run, value: &Value, given: Given, operator: Comparison) -> Result<Value> {
    let [case, attribute] = given.bind("min", ["case_sensitive", "attribute"])?;
    let mut best: Option<(Value, Value)> = None;
    for (key, item) in keyed(run, values(run, value)?, attribute.as_ref(), flag(case.as_ref(), false))? {
        let better = match &best {
            Some((known, _)) => compare(operator, &key, known)?,
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(|| Value::undefined("No aggregated item, sequence was empty."), |(_, item)| item))
}

pub(super) fn min(run: &Run, value: Value, given: Given) -> Result<Value> {
    extreme(run, &value, given, Comparison::Lt)
}

pub(super) fn max(run: &Run, value: Value, given: Given) -> Result<Value> {
    extreme(run, &value, given, Comparison::Gt)
}

pub(super) fn sum(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [attribute, start] = given.bind("sum", ["attribute", "start"])?;
    let mut total = start.unwrap_or(Value::Int(0));
    if total.as_text().is_some() {
        return refuse("sum() can't sum strings [use ''.join(seq) instead]");
    }
    for item in values(run, &value)? {
        let item = match &attribute {
            Some(attribute) if !matches!(attribute, Value::None) => path(run, &item, attribute)?,
            _ => item,
        };
        total = run.operate(Arithmetic::Add, &total, &item)?;
    }
    Ok(total)
}

pub(super) fn batch(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [count, fill] = given.bind("batch", ["linecount", "fill_with"])?;
    let count = count.ok_or_else(|| Error::new("batch() misses its size"))?;
    let count = usize::try_from(int_or(Some(&count), 1)?).unwrap_or(0);
    let mut rows = Vec::new();
    let items = values(run, &value)?;
    for chunk in items.chunks(count.max(1)) {
        let mut row = chunk.to_vec();
        if let Some(fill) = fill.as_ref().filter(|fill| !matches!(fill, Value::None)) {
            run.budget().items(count.saturating_sub(row.len()))?;
            row.resize(count.max(row.len()), fill.clone());
        }
        rows.push(Value::list(row)?);
    }
    Value::cursor("generator", rows)
}

pub(super) fn slice(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [count, fill] = given.bind("slice", ["slices", "fill_with"])?;
    let count = count.ok_or_else(|| Error::new("slice() misses its number"))?;
    let count = usize::try_from(int_or(Some(&count), 1)?).unwrap_or(0);
    let items = values(run, &value)?;
    run.budget().items(count.saturating_mul(4))?;
    let (Some(each), Some(longer)) = (items.len().checked_div(count), items.len().checked_rem(count)) else {
        return refuse("integer division or modulo by zero");
    };
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    let mut columns = Vec::with_capacity(count);
    let mut rest = items.as_slice();
    for column in 0..count {
        let length = each.saturating_add(usize::from(column < longer));
        let (own, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        let mut values = own.to_vec();
        values.extend(fill.iter().filter(|_| column >= longer).cloned());
        columns.push(Value::list(values)?);
        rest = after;
    }
    Value::cursor("generator", columns)
}
