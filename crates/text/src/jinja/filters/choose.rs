//! Filters that look at an attribute of each value, or ask a test or filter about it.

use super::super::arguments::{Given, flag, text_of};
use super::super::error::{Error, Result, refuse};
use super::super::methods;
use super::super::run::Run;
use super::super::value::{Value, equal, sort_by};
use super::access::{folded, path, path_or, values};

pub(super) fn attr(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [name] = given.bind("attr", ["name"])?;
    let name = text_of(name.as_ref(), "attr")?;
    // An entry of a mapping is no attribute.
    if let Value::Dict(dict) = &value
        && dict.get(name).is_some()
        && !methods::exists(&value, name)
    {
        return Ok(Value::undefined(format!("'dict object' has no attribute '{name}'")));
    }
    value.attribute(&name.into())
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
    let (positional, named) = given.into_parts();
    let apply = |item: Value| {
        run.budget().spend(1)?;
        run.filter_named(name, item, Given::new(positional.clone(), named.clone()))
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
            Some(name)
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
        let holds = match &test {
            Some(name) => run.test_named(name, &tested, Given::new(positional.clone(), named.clone()))?,
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

/// Groups as pairs of what they share and their members, in the order of what they share.
fn grouped(run: &Run, keyed: Vec<(Value, (Value, Value))>) -> Result<Value> {
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    run.budget().items(keyed.len())?;
    let sorted = sort_by(keyed.into_iter().map(|(key, pair)| (key.clone(), (key, pair))).collect(), false)?;
    for (key, (shown, item)) in sorted {
        match groups.last_mut() {
            Some((known, _, members)) if equal(known, &key) => members.push(item),
            _ => groups.push((key, shown, vec![item])),
        }
    }
    let pairs = groups.into_iter().map(|(_, shown, members)| Value::group(shown, members));
    Value::list(pairs.collect::<Result<_>>()?)
}
