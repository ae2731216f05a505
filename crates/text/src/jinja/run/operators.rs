//! Arithmetic of two values: numbers, texts, lists.

use super::super::error::{Error, Result, refuse};
use super::super::escape::escape;
use super::super::format::percent;
use super::super::syntax::ast::Arithmetic;
use super::super::value::{Value, arithmetic, int_of};
use super::Run;

impl Run<'_> {
    /// `left operator right`.
    pub fn operate(&self, operator: Arithmetic, left: &Value, right: &Value) -> Result<Value> {
        if let Some(result) = arithmetic(operator, left, right) {
            return result;
        }
        match (operator, left, right) {
            (Arithmetic::Add, Value::Text(a), Value::Text(b)) => self.joined(a, b).map(Value::text),
            (Arithmetic::Add, Value::Markup(a), Value::Text(b)) => self.joined(a, &escape(b)).map(markup),
            (Arithmetic::Add, Value::Text(a), Value::Markup(b)) => self.joined(&escape(a), b).map(markup),
            (Arithmetic::Add, Value::Markup(a), Value::Markup(b)) => self.joined(a, b).map(markup),
            (Arithmetic::Add, Value::List(a), Value::List(b)) => Value::list(self.both(&a.values, &b.values)?),
            (Arithmetic::Add, Value::Tuple(a), Value::Tuple(b)) => Value::tuple(self.both(&a.values, &b.values)?),
            (Arithmetic::Mul, sequence, times) | (Arithmetic::Mul, times, sequence)
                if matches!(sequence, Value::Text(_) | Value::Markup(_) | Value::List(_) | Value::Tuple(_))
                    && int_of(times).is_some() =>
            {
                self.repeated(sequence, int_of(times).unwrap_or(0))
            }
            (Arithmetic::Mod, Value::Text(_) | Value::Markup(_), right) => percent::format(self, left, right),
            _ => Err(impossible(operator, left, right)),
        }
    }

    fn joined(&self, a: &str, b: &str) -> Result<String> {
        self.budget.text(a.len().saturating_add(b.len()))?;
        Ok(format!("{a}{b}"))
    }

    fn both(&self, a: &[Value], b: &[Value]) -> Result<Vec<Value>> {
        self.budget.items(a.len().saturating_add(b.len()))?;
        Ok([a, b].concat())
    }

    fn repeated(&self, sequence: &Value, times: i64) -> Result<Value> {
        let times = usize::try_from(times).unwrap_or(0);
        let counted =
            |length: usize| length.checked_mul(times).ok_or_else(|| Error::new("a repeated value is too long"));
        match sequence {
            Value::Text(text) => {
                self.budget.text(counted(text.len())?)?;
                Ok(Value::text(text.repeat(times)))
            }
            Value::Markup(text) => {
                self.budget.text(counted(text.len())?)?;
                Ok(markup(text.repeat(times)))
            }
            Value::List(items) => {
                self.budget.items(counted(items.values.len())?)?;
                Value::list(repeat(&items.values, times))
            }
            Value::Tuple(items) => {
                self.budget.items(counted(items.values.len())?)?;
                Value::tuple(repeat(&items.values, times))
            }
            other => refuse(format!("'{}' cannot be repeated", other.type_name())),
        }
    }
}

fn repeat(values: &[Value], times: usize) -> Vec<Value> {
    std::iter::repeat_n(values, times).flatten().cloned().collect()
}

fn markup(text: String) -> Value {
    Value::Markup(text.into())
}

fn impossible(operator: Arithmetic, left: &Value, right: &Value) -> Error {
    let sign = match operator {
        Arithmetic::Add => "+",
        Arithmetic::Sub => "-",
        Arithmetic::Mul => "*",
        Arithmetic::Div => "/",
        Arithmetic::FloorDiv => "//",
        Arithmetic::Mod => "%",
        Arithmetic::Pow => "**",
    };
    left.missing().or_else(|| right.missing()).unwrap_or_else(|| {
        let (left, right) = (left.type_name(), right.type_name());
        Error::new(format!("unsupported operand type(s) for {sign}: '{left}' and '{right}'"))
    })
}
