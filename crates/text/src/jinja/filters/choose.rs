//! Filters that look at an attribute of each value, or ask a test or filter about it.

use super::super::arguments::{Given, flag, text_of};
use super::super::error::{Error, Result, refuse};
use super::super::run::Run;
use super::super::tests;
use super::super::value::Value;
use super::sequence::{grouped, values};

/// The value under a path such as `function.name` or `0`.
pub(super) fn path(run: &Run, value: &Value, path: &Value) -> Result<Value> {
    path_or(run, value, path, None)
}

/// The same with a default for each step that finds nothing.
fn path_or(run: &Run, value: &Value, path: &Value, default: Option<&Value>) -> Result<Value> {
    let step = |value: &Value, key: &Value| {
        let found = run.item(value, key)?;
        Ok(match default {
            Some(default) if found.is_undefined() => default.clone(),
            _ => found,
        })
    };
    let Some(path) = path.as_text() else { return step(value, path) };
    let mut value = value.clone();
    for part in path.split('.') {
        let key = match part.parse::<i64>() {
            Ok(index) if part.bytes().all(|byte| byte.is_ascii_digit()) => Value::Int(index),
            _ => Value::text(part),
        };
        value = step(&value, &key)?;
    }
    Ok(value)
}

/// Text without its case, anything else as it is.
pub(super) fn folded(run: &Run, value: &Value) -> Result<Value> {
    match value.as_text() {
        Some(text) => {
            run.budget().text(text.len())?;
            Ok(Value::text(text.to_lowercase()))
        }
        None => Ok(value.clone()),
    }
}

pub(super) fn attr(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [name] = given.bind("attr", ["name"])?;
    let name = text_of(name.as_ref(), "attr")?;
    // An entry of a mapping is no attribute.
    if let Value::Dict(dict) = &value
        && dict.get(name).is_some()
        && !super::super::methods::exists(&value, name)
    {
        return Ok(Value::undefined(format!("'dict object' has no attribute '{name}'")));
    }
    run.attribute(&value, &name.into())
}

pub(super) fn map(run: &Run, value: Value, mut given: Given) -> Result<Value> {
    let items = values(run, &value)?;
    if let Some(attribute) = given.take("attribute") {
        let default = given.take("default");
        let [] = given.bind("map", [])?;
        let of = |item: &Value| path_or(run, item, &attribute, default.as_ref());
        return Value::cursor("generator", items.iter().map(of).collect::<Result<_>>()?);
    }
    let name = given.shift().ok_or_else(|| Error::new("map requires a filter argument"))?;
    let name = text_of(Some(&name), "map")?;
    let filter = super::find(name).ok_or_else(|| Error::new(format!("there is no filter {name:?}")))?;
    let (positional, named) = given.into_parts();
    let apply = |item: Value| {
        run.budget().spend(1)?;
        filter.apply(run, item, Given::new(positional.clone(), named.clone()))
    };
    Value::cursor("generator", items.into_iter().map(apply).collect::<Result<_>>()?)
}

/// Keeps the values of which a test holds, or does not.
fn chosen(run: &Run, value: &Value, mut given: Given, by_attribute: bool, wanted: bool) -> Result<Value> {
    let items = values(run, value)?;
    let attribute = if by_attribute {
        Some(given.shift().ok_or_else(|| Error::new("Missing parameter for attribute name"))?)
    } else {
        None
    };
    let test = match given.shift() {
        None => None,
        Some(name) => {
            let name = text_of(Some(&name), "select")?.to_owned();
            Some(tests::find(&name).ok_or_else(|| Error::new(format!("there is no test {name:?}")))?)
        }
    };
    let (positional, named) = given.into_parts();
    let mut kept = Vec::new();
    for item in items {
        run.budget().spend(1)?;
        let tested = match &attribute {
            Some(attribute) => path(run, &item, attribute)?,
            None => item.clone(),
        };
        let holds = match test {
            Some(test) => test.holds(run, &tested, Given::new(positional.clone(), named.clone()))?,
            None => tested.is_true(),
        };
        if holds == wanted {
            kept.push(item);
        }
    }
    Value::cursor("generator", kept)
}

pub(super) fn select(run: &Run, value: Value, given: Given) -> Result<Value> {
    chosen(run, &value, given, false, true)
}

pub(super) fn reject(run: &Run, value: Value, given: Given) -> Result<Value> {
    chosen(run, &value, given, false, false)
}

pub(super) fn selectattr(run: &Run, value: Value, given: Given) -> Result<Value> {
    chosen(run, &value, given, true, true)
}

pub(super) fn rejectattr(run: &Run, value: Value, given: Given) -> Result<Value> {
    chosen(run, &value, given, true, false)
}

pub(super) fn groupby(run: &Run, value: Value, given: Given) -> Result<Value> {
    let [attribute, default, case] = given.bind("groupby", ["attribute", "default", "case_sensitive"])?;
    let Some(attribute) = attribute else { return refuse("groupby() misses its attribute") };
    let case = flag(case.as_ref(), false);
    let keyed = values(run, &value)?.into_iter().map(|item| {
        let shown = path_or(run, &item, &attribute, default.as_ref())?;
        let key = if case { shown.clone() } else { folded(run, &shown)? };
        Ok((key, (shown, item)))
    });
    grouped(run, keyed.collect::<Result<_>>()?)
}
