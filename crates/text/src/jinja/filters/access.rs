//! What filters of lists look at: the values, and what is under a path in each.

use super::super::error::Result;
use super::super::run::Run;
use super::super::value::Value;

/// The values of what is gone through, paid for.
pub(super) fn values(run: &Run, value: &Value) -> Result<Vec<Value>> {
    run.budget().spend(value.size() as u64)?;
    value.iterate()
}

/// The value under a path such as `function.name` or `0`.
pub(super) fn path(run: &Run, value: &Value, path: &Value) -> Result<Value> {
    path_or(run, value, path, None)
}

/// The same with a default for each step that finds nothing.
pub(super) fn path_or(run: &Run, value: &Value, path: &Value, default: Option<&Value>) -> Result<Value> {
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
