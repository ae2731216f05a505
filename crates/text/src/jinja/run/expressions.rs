//! Expressions.

use std::rc::Rc;
use std::sync::Arc;

use super::super::arguments::Given;
use super::super::error::{Error, Result};
use super::super::syntax::ast::{Arguments, Comparison, Constant, Expr, ExprKind, FilterCall};
use super::super::value::{self, Dict, Value, compare, integer, to_text};
use super::super::{filters, tests};
use super::{Run, Scope};

impl Run<'_> {
    /// The value of an expression.
    pub(super) fn expression(&self, expr: &Expr, scope: &Rc<Scope>) -> Result<Value> {
        match &expr.kind {
            ExprKind::Name(symbol) => Ok(self.variable(*symbol, scope)),
            ExprKind::Constant(constant) => of_constant(constant),
            _ => self.budget.deeper(|| self.compound(expr, scope)).map_err(|error| error.at(expr.line)),
        }
    }

    fn compound(&self, expr: &Expr, scope: &Rc<Scope>) -> Result<Value> {
        match &expr.kind {
            ExprKind::Name(symbol) => Ok(self.variable(*symbol, scope)),
            ExprKind::Constant(constant) => of_constant(constant),
            ExprKind::List(items) => Value::list(self.values(items, scope)?),
            ExprKind::Tuple(items) => Value::tuple(self.values(items, scope)?),
            ExprKind::Dict(items) => {
                let entries =
                    items.iter().map(|(key, value)| Ok((self.expression(key, scope)?, self.expression(value, scope)?)));
                Ok(Dict::new(entries.collect::<Result<Vec<_>>>()?)?.into_value())
            }
            ExprKind::Not(inner) => Ok(Value::Bool(!self.expression(inner, scope)?.is_true())),
            ExprKind::Negative(inner) => value::negative(&self.expression(inner, scope)?),
            ExprKind::Positive(inner) => positive(self.expression(inner, scope)?),
            ExprKind::Chain(first, rest) => {
                let mut left = self.expression(first, scope)?;
                for (operator, right) in rest {
                    left = self.operate(*operator, &left, &self.expression(right, scope)?)?;
                }
                Ok(left)
            }
            ExprKind::Concat(parts) => self.concat(parts, scope),
            ExprKind::And(parts) => self.first_that(parts, false, scope),
            ExprKind::Or(parts) => self.first_that(parts, true, scope),
            ExprKind::Compare(first, rest) => self.comparisons(first, rest, scope),
            ExprKind::Condition { test, yes, no } => match (self.expression(test, scope)?.is_true(), no) {
                (true, _) => self.expression(yes, scope),
                (false, Some(no)) => self.expression(no, scope),
                (false, None) => {
                    Ok(Value::undefined("the inline if-expression evaluated to false and no else section was defined"))
                }
            },
            ExprKind::Attribute(base, name) => self.expression(base, scope)?.attribute(name),
            ExprKind::Item(base, index) => {
                let (base, index) = (self.expression(base, scope)?, self.expression(index, scope)?);
                self.item(&base, &index)
            }
            ExprKind::Slice(base, bounds) => self.slice_of(base, bounds, scope),
            ExprKind::Call(..) => self.call_with(expr, None, scope),
            ExprKind::Filter(input, filter) => self.filter(self.expression(input, scope)?, filter, scope),
            ExprKind::Test { value, name, arguments, negated } => {
                let value = self.expression(value, scope)?;
                let holds = self.test_named(name, &value, self.given(arguments, scope)?)?;
                Ok(Value::Bool(holds != *negated))
            }
        }
    }

    /// Comparisons one after another, each with the value before it.
    fn comparisons(&self, first: &Expr, rest: &[(Comparison, Expr)], scope: &Rc<Scope>) -> Result<Value> {
        let mut left = self.expression(first, scope)?;
        for (operator, right) in rest {
            let right = self.expression(right, scope)?;
            self.budget.items(left.size().min(right.size()))?;
            if !compare(*operator, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn slice_of(&self, base: &Expr, bounds: &[Option<Expr>; 3], scope: &Rc<Scope>) -> Result<Value> {
        let base = self.expression(base, scope)?;
        let mut values = [const { None }; 3];
        for (value, bound) in values.iter_mut().zip(bounds) {
            *value = bound.as_ref().map(|bound| self.expression(bound, scope)).transpose()?;
        }
        self.slice(&base, &values)
    }

    /// Applies a filter.
    pub(super) fn filter(&self, input: Value, filter: &FilterCall, scope: &Rc<Scope>) -> Result<Value> {
        let given = self.given(&filter.arguments, scope);
        given.and_then(|given| self.filter_named(&filter.name, input, given)).map_err(|error| error.at(filter.line))
    }

    /// Applies the filter of a name.
    pub fn filter_named(&self, name: &str, input: Value, given: Given) -> Result<Value> {
        let filter = filters::find(name).ok_or_else(|| Error::new(format!("there is no filter {name:?}")))?;
        filter(self, input, given)
    }

    /// Asks the test of a name.
    pub fn test_named(&self, name: &str, value: &Value, given: Given) -> Result<bool> {
        let test = tests::find(name).ok_or_else(|| Error::new(format!("there is no test {name:?}")))?;
        test(self, value, given)
    }

    fn values(&self, exprs: &[Expr], scope: &Rc<Scope>) -> Result<Vec<Value>> {
        exprs.iter().map(|expr| self.expression(expr, scope)).collect()
    }

    /// Evaluated arguments of a call.
    pub(super) fn given(&self, arguments: &Arguments, scope: &Rc<Scope>) -> Result<Given> {
        let mut positional = self.values(&arguments.positional, scope)?;
        let named = arguments.named.iter().map(|(name, expr)| Ok((Arc::clone(name), self.expression(expr, scope)?)));
        let mut named = named.collect::<Result<Vec<_>>>()?;
        if let Some(star) = &arguments.star {
            let values = self.expression(star, scope)?;
            self.budget.items(values.size())?;
            positional.extend(values.iterate()?);
        }
        if let Some(star) = &arguments.double_star {
            let Value::Dict(dict) = self.expression(star, scope)? else {
                return Err(Error::new("argument after ** must be a mapping"));
            };
            for (key, value) in dict.iter() {
                let key = key.as_text().ok_or_else(|| Error::new("keywords must be strings"))?;
                if named.iter().any(|(known, _)| **known == *key) {
                    return Err(Error::new(format!("got multiple values for keyword argument '{key}'")));
                }
                named.push((key.into(), value.clone()));
            }
        }
        Ok(Given::new(positional, named))
    }

    /// Python's `str(value)`.
    pub(super) fn text_of(&self, value: &Value) -> Result<String> {
        to_text(value, &self.budget)
    }

    fn concat(&self, parts: &[Expr], scope: &Rc<Scope>) -> Result<Value> {
        let mut text = String::new();
        for part in parts {
            let value = self.expression(part, scope)?;
            match value.as_text() {
                Some(part) => {
                    self.budget.text(part.len())?;
                    text.push_str(part);
                }
                None => text.push_str(&self.text_of(&value)?),
            }
        }
        Ok(Value::text(text))
    }

    /// The first value that is true (or false), else the last one.
    fn first_that(&self, parts: &[Expr], wanted: bool, scope: &Rc<Scope>) -> Result<Value> {
        let mut value = Value::None;
        for part in parts {
            value = self.expression(part, scope)?;
            if value.is_true() == wanted {
                break;
            }
        }
        Ok(value)
    }
}

/// `+value`.
fn positive(value: Value) -> Result<Value> {
    match value {
        Value::Int(_) | Value::Big(_) | Value::Float(_) => Ok(value),
        Value::Bool(bool) => Ok(Value::Int(i64::from(bool))),
        other => Err(other
            .missing()
            .unwrap_or_else(|| Error::new(format!("bad operand type for unary +: '{}'", other.type_name())))),
    }
}

fn of_constant(constant: &Constant) -> Result<Value> {
    Ok(match constant {
        Constant::None => Value::None,
        Constant::Bool(bool) => Value::Bool(*bool),
        Constant::Int(int) => integer(int.clone())?,
        Constant::Float(float) => Value::Float(*float),
        Constant::Text(text) => Value::Text(Arc::clone(text)),
    })
}
