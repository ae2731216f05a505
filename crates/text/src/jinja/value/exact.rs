//! Values of parsed JSON, as Python's `json` gives them: integers of any size, floats as floats, keys in the text's order.

use std::sync::Arc;

use num_bigint::BigInt;
use serde_json::Value as Json;

use super::super::error::{Error, Result};
use super::{Dict, Value, integer};
use crate::exact_json::long_integer;

/// A value from parsed JSON.
///
/// # Errors
/// For nesting beyond what values may have, and integers of more than 4,300 digits.
pub(crate) fn read_json(json: &Json) -> Result<Value> {
    Ok(match json {
        Json::Null => Value::None,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(int)) => integer(BigInt::from(int))?,
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(Arc::from(text.as_str())),
        Json::Array(items) => Value::list(items.iter().map(read_json).collect::<Result<_>>()?)?,
        Json::Object(fields) => {
            if let Some(digits) = long_integer(json) {
                return long(digits);
            }
            let entries = fields.iter().map(|(key, value)| Ok((Value::text(key.as_str()), read_json(value)?)));
            Dict::new(entries.collect::<Result<Vec<_>>>()?)?.into_value()
        }
    })
}

/// Most digits that are read at all: reading takes time that grows with their square.
const MOST_DIGITS: usize = 5000;

fn long(digits: &str) -> Result<Value> {
    let int = Some(digits).filter(|digits| digits.len() < MOST_DIGITS).and_then(|digits| digits.parse().ok());
    integer(int.ok_or_else(|| Error::new("an integer has more than 4300 digits"))?)
}
