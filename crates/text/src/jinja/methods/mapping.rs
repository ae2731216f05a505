//! Methods of mappings.

use std::rc::Rc;

use super::super::arguments::Given;
use super::super::error::{Result, refuse};
use super::super::value::{Dict, Value, View, ViewKind};

pub(super) fn call(dict: &Rc<Dict>, name: &str, given: Given) -> Result<Value> {
    if let Some(kind) = view_kind(name) {
        let [] = given.bind(name, [])?;
        return Ok(Value::View(Rc::new(View { dict: Rc::clone(dict), kind })));
    }
    if name == "copy" {
        let [] = given.bind(name, [])?;
        return Ok(Value::Dict(Rc::clone(dict)));
    }
    let [key, default] = given.bind("get", [""; 2])?;
    match key {
        Some(key) => Ok(dict.get_value(&key)?.cloned().or(default).unwrap_or(Value::None)),
        None => refuse("get expected at least 1 argument, got 0"),
    }
}

/// The view of a mapping that a method gives.
fn view_kind(name: &str) -> Option<ViewKind> {
    match name {
        "keys" => Some(ViewKind::Keys),
        "values" => Some(ViewKind::Values),
        "items" => Some(ViewKind::Items),
        _ => None,
    }
}
