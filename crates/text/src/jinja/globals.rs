//! Functions that every template has.

use std::cell::Cell;
use std::rc::Rc;

use super::arguments::Given;
use super::error::{Error, Result, refuse};
use super::run::Run;
use super::value::{Cycler, Dict, Global, Joiner, Namespace, Object, Range, Value, int_of, to_text};

/// Most values of a range, as in jinja2's sandbox.
const MAX_RANGE: usize = 100_000;

impl Global {
    /// Calls it.
    pub fn call(self, run: &Run, given: Given) -> Result<Value> {
        match self {
            Self::Range => range(given),
            Self::Dict => Ok(Dict::new(fields(given, "dict")?)?.into_value()),
            Self::Lipsum => refuse("the function 'lipsum' is refused: it writes another text each time"),
            Self::Cycler => Ok(Value::Object(Object::Cycler(Rc::new(Cycler::new(given.only_positional("cycler")?)?)))),
            Self::Joiner => {
                let [text] = given.bind("joiner", ["sep"])?;
                let joiner = Joiner { text: text.unwrap_or_else(|| Value::text(", ")), used: Cell::new(false) };
                Ok(Value::Object(Object::Joiner(Rc::new(joiner))))
            }
            Self::Namespace => {
                let namespace = Namespace::default();
                for (key, value) in fields(given, "namespace")? {
                    let key = key.as_text().ok_or_else(|| Error::new("a namespace has text keys only"))?;
                    namespace.set(&key.into(), value);
                }
                Ok(run.namespace(namespace))
            }
            Self::RaiseException => {
                let [message] = given.bind("raise_exception", ["message"])?;
                let message = message.ok_or_else(|| Error::new("raise_exception() misses its message"))?;
                refuse(to_text(&message, run.budget())?)
            }
            Self::StrftimeNow => {
                let [format] = given.bind("strftime_now", ["format"])?;
                match format.as_ref().and_then(Value::as_text) {
                    Some(format) => Ok(Value::text(run.strftime_now(format))),
                    None => refuse("strftime_now() expects a format"),
                }
            }
        }
    }
}

/// Entries of a mapping or of pairs, then named ones.
fn fields(given: Given, place: &str) -> Result<Vec<(Value, Value)>> {
    let (mut positional, named) = given.into_parts();
    if positional.len() > 1 {
        return refuse(format!("{place}() takes at most 1 argument ({} given)", positional.len()));
    }
    let mut entries = match positional.pop() {
        None => Vec::new(),
        Some(Value::Dict(dict)) => dict.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Some(pairs) => {
            let pair = |pair: &Value| match <[Value; 2]>::try_from(pair.iterate()?) {
                Ok([key, value]) => Ok((key, value)),
                Err(_) => refuse(format!("{place}() expects pairs")),
            };
            pairs.iterate()?.iter().map(pair).collect::<Result<_>>()?
        }
    };
    entries.extend(named.into_iter().map(|(name, value)| (Value::Text(name), value)));
    Ok(entries)
}

fn range(given: Given) -> Result<Value> {
    let values = given.only_positional("range")?;
    let ints = values.iter().map(|value| {
        let int = int_of(value).filter(|_| !matches!(value, Value::Big(_)));
        int.ok_or_else(|| value.missing().unwrap_or_else(|| Error::new("range() expects integers of 64 bits")))
    });
    let range = match ints.collect::<Result<Vec<_>>>()?[..] {
        [stop] => Range { start: 0, stop, step: 1 },
        [start, stop] => Range { start, stop, step: 1 },
        [_, _, 0] => return refuse("range() arg 3 must not be zero"),
        [start, stop, step] => Range { start, stop, step },
        _ => return refuse("range expected 1 to 3 arguments"),
    };
    if range.len() > MAX_RANGE {
        return refuse(format!("a range has more than {MAX_RANGE} values"));
    }
    Ok(Value::Range(Rc::new(range)))
}
