//! Mappings: keys in order of insertion, equal keys as in Python (`1`, `1.0` and `true` are one key).

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use indexmap::{Equivalent, IndexMap};

use super::super::error::{Result, refuse};
use super::number::hash_number;
use super::order::equal;
use super::{Dict, Key, Value, nested};

impl Dict {
    /// From entries; of equal keys the last value counts, at the first one's place.
    ///
    /// # Errors
    /// For keys that have no hash, and when values are nested too deep.
    pub fn new(entries: impl IntoIterator<Item = (Value, Value)>) -> Result<Self> {
        let keyed = entries.into_iter().map(|(key, value)| Ok((Key::new(key)?, value)));
        let entries = keyed.collect::<Result<IndexMap<_, _>>>()?;
        let depth = nested(entries.values())?;
        Ok(Self { entries, depth })
    }

    /// As a value.
    pub fn into_value(self) -> Value {
        Value::Dict(Rc::new(self))
    }

    /// The value under a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(&Text(key))
    }

    /// The value under a key.
    ///
    /// # Errors
    /// For a key that has no hash.
    pub fn get_value(&self, key: &Value) -> Result<Option<&Value>> {
        match key.as_text() {
            Some(text) => Ok(self.get(text)),
            None => Ok(self.entries.get(&Key::new(key.clone())?)),
        }
    }

    /// Keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.entries.keys().map(|key| &key.0)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(key, value)| (&key.0, value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Key {
    /// A key.
    ///
    /// # Errors
    /// For lists, mappings and tuples that hold some.
    pub fn new(value: Value) -> Result<Self> {
        check_hashable(&value)?;
        Ok(Self(value))
    }
}

fn check_hashable(value: &Value) -> Result<()> {
    match value {
        Value::List(_) | Value::Dict(_) | Value::View(_) => refuse(format!("unhashable type: '{}'", value.type_name())),
        Value::Tuple(items) => items.values.iter().try_for_each(check_hashable),
        _ => Ok(()),
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

/// Equal values have equal hashes; values that are rarely keys share one.
fn hash<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        Value::Text(text) | Value::Markup(text) => text.hash(state),
        Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) => hash_number(value, state),
        Value::Tuple(items) => items.values.iter().for_each(|item| hash(item, state)),
        _ => 0_u8.hash(state),
    }
}

/// A text key that is looked up without making a value of it.
struct Text<'a>(&'a str);

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<Key> for Text<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        key.0.as_text() == Some(self.0)
    }
}
