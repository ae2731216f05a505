//! Equality, order and membership, as Python has them.

use std::cmp::Ordering;
use std::rc::Rc;

use num_bigint::BigInt;

use super::super::error::{Error, Result, refuse};
use super::super::syntax::ast::Comparison;
use super::number::{float_of, int_of, to_big};
use super::{Dict, Object, Value};

/// Python's `==`.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Text(a) | Value::Markup(a), Value::Text(b) | Value::Markup(b)) => a == b,
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            a.values.len() == b.values.len() && a.values.iter().zip(&b.values).all(|(a, b)| equal(a, b))
        }
        (Value::Dict(a), Value::Dict(b)) => equal_dicts(a, b),
        (Value::Range(a), Value::Range(b)) => a.values_equal(b),
        (Value::View(a), Value::View(b)) => {
            Rc::ptr_eq(a, b) || (a.kind == b.kind && a.is_set() && equal_dicts(&a.dict, &b.dict))
        }
        (Value::Cursor(a), Value::Cursor(b)) => Rc::ptr_eq(a, b),
        (Value::Global(a), Value::Global(b)) => a == b,
        (Value::Object(a), Value::Object(b)) => Object::same(a, b),
        _ => numbers(a, b).is_some_and(|order| order.0 == Some(Ordering::Equal)),
    }
}

fn equal_dicts(a: &Dict, b: &Dict) -> bool {
    let in_b =
        |(key, value): (&Value, &Value)| b.get_value(key).ok().flatten().is_some_and(|other| equal(value, other));
    a.len() == b.len() && a.iter().all(in_b)
}

/// The order of two numbers; none within it where a NaN is in the way.
struct Order(Option<Ordering>);

/// The order of two numbers; none when one is no number.
fn numbers(a: &Value, b: &Value) -> Option<Order> {
    if let (Value::Int(a), Value::Int(b)) = (a, b) {
        return Some(Order(Some(a.cmp(b))));
    }
    Some(Order(match (to_big(a), to_big(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(int), None) => int_and_float(&int, int_of(a)?, float_of(b)?),
        (None, Some(int)) => int_and_float(&int, int_of(b)?, float_of(a)?).map(Ordering::reverse),
        (None, None) => float_of(a)?.partial_cmp(&float_of(b)?),
    }))
}

/// Compares without rounding the integer.
fn int_and_float(int: &BigInt, cut: i64, float: f64) -> Option<Ordering> {
    if cut.unsigned_abs() < 1 << 53 {
        return (cut as f64).partial_cmp(&float);
    }
    if float.is_nan() || float.is_infinite() {
        return 0.0.partial_cmp(&float);
    }
    // Past 2^53 a float is whole; what it says has at most 309 digits.
    let whole: BigInt = format!("{:.0}", float.trunc()).parse().ok()?;
    Some(int.cmp(&whole).then(0.0.partial_cmp(&float.fract())?))
}

/// Python's order of two values; none where a NaN is in the way.
///
/// # Errors
/// For types that have no order between them.
fn order(a: &Value, b: &Value, sign: &str) -> Result<Option<Ordering>> {
    match (a, b) {
        (Value::Text(a) | Value::Markup(a), Value::Text(b) | Value::Markup(b)) => Ok(Some(a.cmp(b))),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            let differing = a.values.iter().zip(&b.values).find(|(a, b)| !equal(a, b));
            match differing {
                Some((a, b)) => order(a, b, sign),
                None => Ok(Some(a.values.len().cmp(&b.values.len()))),
            }
        }
        _ => match a.missing().or_else(|| b.missing()) {
            Some(error) => Err(error),
            None => numbers(a, b).map(|order| order.0).ok_or_else(|| {
                let (a, b) = (a.type_name(), b.type_name());
                Error::new(format!("'{sign}' not supported between instances of '{a}' and '{b}'"))
            }),
        },
    }
}

/// One comparison.
///
/// # Errors
/// For types that cannot be compared so.
pub(crate) fn compare(operator: Comparison, a: &Value, b: &Value) -> Result<bool> {
    let ordered = |sign: &str, holds: fn(Ordering) -> bool| Ok(order(a, b, sign)?.is_some_and(holds));
    match operator {
        Comparison::Eq => Ok(equal(a, b)),
        Comparison::Ne => Ok(!equal(a, b)),
        Comparison::Lt => ordered("<", Ordering::is_lt),
        Comparison::Le => ordered("<=", Ordering::is_le),
        Comparison::Gt => ordered(">", Ordering::is_gt),
        Comparison::Ge => ordered(">=", Ordering::is_ge),
        Comparison::In => contains(b, a),
        Comparison::NotIn => contains(b, a).map(|found| !found),
    }
}

/// Python's `item in container`.
///
/// # Errors
/// For what holds nothing, and for anything but text in text.
pub(crate) fn contains(container: &Value, item: &Value) -> Result<bool> {
    match container {
        Value::Text(text) | Value::Markup(text) => match item.as_text() {
            Some(part) => Ok(text.contains(part)),
            None => refuse(format!("'in <string>' requires string as left operand, not {}", item.type_name())),
        },
        Value::Dict(dict) => Ok(dict.get_value(item)?.is_some()),
        Value::View(view) if view.is_keys() => Ok(view.dict.get_value(item)?.is_some()),
        Value::List(items) | Value::Tuple(items) => Ok(items.values.iter().any(|other| equal(other, item))),
        Value::Range(range) => Ok(range.contains(item)),
        _ => match container.iterate() {
            Ok(values) => Ok(values.iter().any(|other| equal(other, item))),
            Err(_) => refuse(format!("argument of type '{}' is not iterable", container.type_name())),
        },
    }
}

/// Sorts by keys, stably, as Python's `sorted` does.
///
/// # Errors
/// For keys that have no order between them.
pub(crate) fn sort_by<T>(items: Vec<(Value, T)>, reverse: bool) -> Result<Vec<T>> {
    let mut failure = None;
    let mut items = items;
    items.sort_by(|(a, _), (b, _)| {
        let (a, b) = if reverse { (b, a) } else { (a, b) };
        match order(a, b, "<") {
            Ok(order) => order.unwrap_or(Ordering::Equal),
            Err(error) => {
                failure.get_or_insert(error);
                Ordering::Equal
            }
        }
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(items.into_iter().map(|(_, item)| item).collect()),
    }
}
