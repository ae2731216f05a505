//! `base.name` and `base[index]`, as jinja2's sandbox looks them up.

use std::rc::Rc;
use std::sync::Arc;

use super::super::error::Result;
use super::super::methods;
use super::super::value::{Cycler, LoopState, MacroValue, Object, Value, int_of};
use super::Run;

impl Value {
    /// `value.name`: what the value's type has under this name, else the entry of a mapping, else nothing.
    pub fn attribute(&self, name: &Arc<str>) -> Result<Value> {
        if let Some(error) = self.missing() {
            return Err(error);
        }
        if let Some(found) = own_attribute(self, name)? {
            return Ok(found);
        }
        if let Value::Dict(dict) = self
            && let Some(found) = dict.get(name)
        {
            return Ok(found.clone());
        }
        Ok(no_attribute(self, name))
    }
}

impl Run<'_> {
    /// `base[index]`: the entry, else what the value's type has under this name, else nothing.
    pub(in super::super) fn item(&self, base: &Value, index: &Value) -> Result<Value> {
        if let Some(error) = base.missing() {
            return Err(error);
        }
        if let Some(found) = self.entry(base, index)? {
            return Ok(found);
        }
        match index {
            Value::Text(name) | Value::Markup(name) => {
                Ok(own_attribute(base, name)?.unwrap_or_else(|| no_attribute(base, name)))
            }
            Value::Int(index) => Ok(Value::undefined(format!("{} object has no element {index}", described(base)))),
            other => {
                Ok(Value::undefined(format!("{} object has no element of type {}", described(base), other.type_name())))
            }
        }
    }

    fn entry(&self, base: &Value, index: &Value) -> Result<Option<Value>> {
        if let Value::Dict(dict) = base {
            return Ok(dict.get_value(index).ok().flatten().cloned());
        }
        let Some(at) = int_of(index) else { return Ok(None) };
        let place = |length: usize| {
            let at = if at < 0 { at.checked_add_unsigned(length as u64)? } else { at };
            usize::try_from(at).ok().filter(|at| *at < length)
        };
        Ok(match base {
            Value::List(items) | Value::Tuple(items) => {
                place(items.values.len()).and_then(|at| items.values.get(at)).cloned()
            }
            Value::Range(range) => place(range.len()).map(|at| range.at(at)),
            Value::Text(text) => self.letter(text, at)?.map(Value::letter),
            Value::Markup(text) => self.letter(text, at)?.map(|c| Value::Markup(c.to_string().into())),
            _ => None,
        })
    }

    fn letter(&self, text: &str, at: i64) -> Result<Option<char>> {
        if text.is_ascii() {
            let at = if at < 0 { at.saturating_add(text.len() as i64) } else { at };
            return Ok(usize::try_from(at).ok().and_then(|at| text.as_bytes().get(at)).map(|byte| *byte as char));
        }
        self.budget.text(text.len())?;
        Ok(if at < 0 {
            // -1 is the last.
            text.chars().rev().nth(usize::try_from(!at).unwrap_or(usize::MAX))
        } else {
            text.chars().nth(usize::try_from(at).unwrap_or(usize::MAX))
        })
    }
}

/// A method or field that the type of `base` has.
fn own_attribute(base: &Value, name: &Arc<str>) -> Result<Option<Value>> {
    if name.starts_with("__") && name.ends_with("__") {
        let reason = format!("access to attribute '{name}' of '{}' object is refused", base.type_name());
        return Ok(Some(Value::undefined(reason)));
    }
    Ok(match base {
        Value::Object(Object::Namespace(namespace)) => namespace.get(name),
        Value::Object(Object::Loop(state)) => loop_attribute(base, state, name),
        Value::Object(Object::Macro(macro_value)) => macro_attribute(macro_value, name)?,
        Value::Object(Object::Cycler(cycler)) => cycler_attribute(base, cycler, name),
        _ if methods::changes(base, name) => {
            let reason = format!("access to attribute '{name}' of '{}' object is refused", base.type_name());
            Some(Value::undefined(reason))
        }
        _ if methods::exists(base, name) => Some(Value::Method(Rc::new((base.clone(), Arc::clone(name))))),
        _ => methods::field(base, name),
    })
}

fn described(base: &Value) -> String {
    match base {
        Value::None => "None".to_owned(),
        other => format!("'{}", other.type_name()) + "'",
    }
}

fn no_attribute(base: &Value, name: &str) -> Value {
    match base {
        Value::None => Value::undefined(format!("'None' has no attribute '{name}'")),
        other => Value::undefined(format!("'{} object' has no attribute '{name}'", other.type_name())),
    }
}

fn loop_attribute(base: &Value, state: &LoopState, name: &Arc<str>) -> Option<Value> {
    let (index, length) = (state.index(), state.items.len());
    let next = index.saturating_add(1);
    let number = |number: usize| Some(Value::Int(number as i64));
    let neighbour = |at: Option<usize>, what: &str| {
        let found = at.and_then(|at| state.items.get(at)).cloned();
        Some(found.unwrap_or_else(|| Value::undefined(format!("there is no {what} item"))))
    };
    match &**name {
        "index" => number(next),
        "index0" => number(index),
        "revindex" => number(length.saturating_sub(index)),
        "revindex0" => number(length.saturating_sub(next)),
        "first" => Some(Value::Bool(index == 0)),
        "last" => Some(Value::Bool(next == length)),
        "length" => number(length),
        "depth" => number(state.depth0.saturating_add(1)),
        "depth0" => number(state.depth0),
        "previtem" => neighbour(index.checked_sub(1), "previous"),
        "nextitem" => neighbour(Some(next), "next"),
        "cycle" | "changed" => Some(Value::Method(Rc::new((base.clone(), Arc::clone(name))))),
        _ => None,
    }
}

fn macro_attribute(value: &MacroValue, name: &str) -> Result<Option<Value>> {
    let definition = &value.definition;
    Ok(match name {
        "name" => Some(definition.name.clone().map_or(Value::None, Value::Text)),
        "arguments" => {
            let names = definition.parameters.iter().map(|(_, name)| Value::Text(Arc::clone(name)));
            Some(Value::tuple(names.collect())?)
        }
        "catch_kwargs" => Some(Value::Bool(definition.kwargs.is_some())),
        "catch_varargs" => Some(Value::Bool(definition.varargs.is_some())),
        "caller" => Some(Value::Bool(definition.caller.is_some())),
        _ => None,
    })
}

fn cycler_attribute(base: &Value, cycler: &Cycler, name: &Arc<str>) -> Option<Value> {
    match &**name {
        "current" => Some(cycler.current()),
        "next" | "reset" => Some(Value::Method(Rc::new((base.clone(), Arc::clone(name))))),
        _ => None,
    }
}
