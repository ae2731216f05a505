//! Arguments that a call gives, and how they meet the parameters of a function.

use std::sync::Arc;

use super::error::{Error, Result, refuse};
use super::value::{Value, int_of};

/// Evaluated arguments.
#[derive(Default)]
pub(crate) struct Given {
    positional: Vec<Value>,
    named: Vec<(Arc<str>, Value)>,
}

impl Given {
    /// From values and names.
    pub fn new(positional: Vec<Value>, named: Vec<(Arc<str>, Value)>) -> Self {
        Self { positional, named }
    }

    /// Values, and names with values.
    pub fn into_parts(self) -> (Vec<Value>, Vec<(Arc<str>, Value)>) {
        (self.positional, self.named)
    }

    /// True without arguments.
    pub fn is_empty(&self) -> bool {
        self.positional.is_empty() && self.named.is_empty()
    }

    /// Takes the first argument away.
    pub fn shift(&mut self) -> Option<Value> {
        if self.positional.is_empty() { None } else { Some(self.positional.remove(0)) }
    }

    /// Takes a named argument away.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.named.iter().position(|(known, _)| **known == *name)?;
        Some(self.named.remove(at).1)
    }

    /// The values, where names are not taken.
    pub fn only_positional(self, place: &str) -> Result<Vec<Value>> {
        match self.named.first() {
            Some((name, _)) => refuse(format!("{place}() got an unexpected keyword argument '{name}'")),
            None => Ok(self.positional),
        }
    }

    /// One slot per parameter. A parameter without a name is taken by place only.
    pub fn bind<const N: usize>(self, place: &str, names: [&str; N]) -> Result<[Option<Value>; N]> {
        if self.positional.len() > N {
            return refuse(format!("{place}() takes at most {N} arguments ({} given)", self.positional.len()));
        }
        let mut slots = [const { None }; N];
        for (slot, value) in slots.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            let at = names.iter().position(|known| **known == *name);
            let slot = at.and_then(|at| slots.get_mut(at));
            let slot =
                slot.ok_or_else(|| Error::new(format!("{place}() got an unexpected keyword argument '{name}'")))?;
            if slot.replace(value).is_some() {
                return refuse(format!("{place}() got multiple values for argument '{name}'"));
            }
        }
        Ok(slots)
    }
}

/// An argument that must be an integer; `default` where it is not given.
pub(crate) fn int_or(value: Option<&Value>, default: i64) -> Result<i64> {
    match value {
        None => Ok(default),
        Some(value) => int_of(value).ok_or_else(|| wrong(value, "an integer")),
    }
}

/// An argument that must be text.
pub(crate) fn text_of<'a>(value: Option<&'a Value>, place: &str) -> Result<&'a str> {
    let value = value.ok_or_else(|| Error::new(format!("{place}() misses an argument")))?;
    value.as_text().ok_or_else(|| wrong(value, "text"))
}

/// An argument that must be text; `default` where it is not given.
pub(crate) fn text_or<'a>(value: Option<&'a Value>, default: &'a str) -> Result<&'a str> {
    value.map_or(Ok(default), |value| value.as_text().ok_or_else(|| wrong(value, "text")))
}

/// An argument that is true or false; `default` where it is not given.
pub(crate) fn flag(value: Option<&Value>, default: bool) -> bool {
    value.map_or(default, Value::is_true)
}

/// The error of a value of another type.
pub(crate) fn wrong(value: &Value, expected: &str) -> Error {
    value.missing().unwrap_or_else(|| Error::new(format!("expected {expected}, got {}", value.type_name())))
}
