//! jinja2's tests: what stands after `is`.

use super::arguments::{Given, wrong};
use super::error::{Error, Result, refuse};
use super::run::Run;
use super::syntax::ast::{Arithmetic, Comparison};
use super::value::{Object, Value, arithmetic, compare, contains, float_of, to_text};

/// What a test asks.
pub(crate) type Test = fn(&Run, &Value, Given) -> Result<bool>;

/// The test of a name.
pub(crate) fn find(name: &str) -> Option<Test> {
    let test: Test = match name {
        "odd" => |_, value, given| remainder(value, given, "odd", 1),
        "even" => |_, value, given| remainder(value, given, "even", 0),
        "divisibleby" => |_, value, given| {
            let [number] = given.bind("divisibleby", ["num"])?;
            let number = number.ok_or_else(|| Error::new("divisibleby misses its number"))?;
            modulo(value, &number).map(|rest| !rest.is_true_number())
        },
        "defined" => |_, value, given| alone(given, !value.is_undefined()),
        "undefined" => |_, value, given| alone(given, value.is_undefined()),
        "filter" => |run, value, given| alone(given, value.as_text().is_some_and(|name| run.has_filter(name))),
        "test" => |_, value, given| alone(given, value.as_text().is_some_and(|name| find(name).is_some())),
        "none" => |_, value, given| alone(given, matches!(value, Value::None)),
        "boolean" => |_, value, given| alone(given, matches!(value, Value::Bool(_))),
        "false" => |_, value, given| alone(given, matches!(value, Value::Bool(false))),
        "true" => |_, value, given| alone(given, matches!(value, Value::Bool(true))),
        "integer" => |_, value, given| alone(given, matches!(value, Value::Int(_) | Value::Big(_))),
        "float" => |_, value, given| alone(given, matches!(value, Value::Float(_))),
        "number" => |_, value, given| alone(given, float_of(value).is_some()),
        "string" => |_, value, given| alone(given, value.as_text().is_some()),
        "mapping" => |_, value, given| alone(given, matches!(value, Value::Dict(_))),
        "lower" => |run, value, given| alone(given, case(run, value, "islower")?),
        "upper" => |run, value, given| alone(given, case(run, value, "isupper")?),
        "sequence" => |_, value, given| alone(given, is_sequence(value)),
        "iterable" => |_, value, given| alone(given, is_iterable(value)),
        "callable" => |_, value, given| alone(given, is_callable(value)),
        "escaped" => |_, value, given| alone(given, matches!(value, Value::Markup(_))),
        "sameas" => |_, value, given| same(value, given),
        "in" => |run, value, given| {
            let [container] = given.bind("in", ["seq"])?;
            let container = container.ok_or_else(|| Error::new("in misses where to look"))?;
            run.budget().items(container.size())?;
            contains(&container, value)
        },
        "==" | "eq" | "equalto" => |_, value, given| compared(Comparison::Eq, value, given),
        "!=" | "ne" => |_, value, given| compared(Comparison::Ne, value, given),
        ">" | "gt" | "greaterthan" => |_, value, given| compared(Comparison::Gt, value, given),
        ">=" | "ge" => |_, value, given| compared(Comparison::Ge, value, given),
        "<" | "lt" | "lessthan" => |_, value, given| compared(Comparison::Lt, value, given),
        "<=" | "le" => |_, value, given| compared(Comparison::Le, value, given),
        _ => return None,
    };
    Some(test)
}

/// The answer of a test that takes no argument.
fn alone(given: Given, holds: bool) -> Result<bool> {
    if given.is_empty() { Ok(holds) } else { refuse("the test takes no argument") }
}

fn modulo(value: &Value, number: &Value) -> Result<Value> {
    arithmetic(Arithmetic::Mod, value, number)
        .unwrap_or_else(|| Err(wrong(if float_of(value).is_none() { value } else { number }, "a number")))
}

fn remainder(value: &Value, given: Given, place: &str, wanted: i64) -> Result<bool> {
    let [] = given.bind(place, [])?;
    Ok(float_of(&modulo(value, &Value::Int(2))?) == Some(wanted as f64))
}

fn compared(operator: Comparison, value: &Value, given: Given) -> Result<bool> {
    let [other] = given.bind("comparison", [""])?;
    let other = other.ok_or_else(|| Error::new("a comparison misses its second value"))?;
    compare(operator, value, &other)
}

fn case(run: &Run, value: &Value, method: &str) -> Result<bool> {
    let text = Value::text(to_text(value, run.budget())?);
    Ok(super::methods::call(run, &text, method, Given::default())?.is_true())
}

fn is_sequence(value: &Value) -> bool {
    matches!(
        value,
        Value::Undefined(_)
            | Value::Text(_)
            | Value::Markup(_)
            | Value::List(_)
            | Value::Tuple(_)
            | Value::Dict(_)
            | Value::Range(_)
    )
}

fn is_iterable(value: &Value) -> bool {
    is_sequence(value) || matches!(value, Value::View(_) | Value::Cursor(_) | Value::Object(Object::Loop(_)))
}

fn is_callable(value: &Value) -> bool {
    match value {
        Value::Undefined(_) | Value::Method(_) | Value::Global(_) => true,
        Value::Object(object) => !matches!(object, Object::Namespace(_) | Object::Cycler(_)),
        _ => false,
    }
}

/// Whether two values are one object: for texts and numbers, which Python shares at will, whether they are equal.
fn same(value: &Value, given: Given) -> Result<bool> {
    use std::rc::Rc;
    let [other] = given.bind("sameas", ["other"])?;
    let other = other.ok_or_else(|| Error::new("sameas misses its second value"))?;
    Ok(match (value, &other) {
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
        (a, b) => a.type_name() == b.type_name() && super::value::equal(a, b),
    })
}
