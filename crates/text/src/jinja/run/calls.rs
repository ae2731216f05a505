//! Calls: functions, methods, macros, loops.

use std::rc::Rc;

use super::super::arguments::Given;
use super::super::error::{Error, Result, refuse};
use super::super::methods;
use super::super::syntax::ast::{Expr, ExprKind};
use super::super::value::{Dict, LoopState, MacroValue, Object, Value, equal};
use super::{Run, Scope};

impl Run<'_> {
    /// The value of a call expression; a call block gives its body as `caller`.
    pub(super) fn call_with(&self, expr: &Expr, caller: Option<Value>, scope: &Rc<Scope>) -> Result<Value> {
        let ExprKind::Call(callee, arguments) = &expr.kind else { return refuse("expected a call") };
        let called = || {
            // A method of text or a mapping is called without making a value of it.
            if let ExprKind::Attribute(base, name) = &callee.kind {
                let base = self.expression(base, scope)?;
                if methods::exists(&base, name) {
                    return methods::call(self, &base, name, self.given_with(arguments, caller, scope)?);
                }
                let callee = base.attribute(name)?;
                return self.call(&callee, self.given_with(arguments, caller, scope)?);
            }
            let callee = self.expression(callee, scope)?;
            self.call(&callee, self.given_with(arguments, caller, scope)?)
        };
        called().map_err(|error| error.at(expr.line))
    }

    fn given_with(
        &self,
        arguments: &super::super::syntax::ast::Arguments,
        caller: Option<Value>,
        scope: &Rc<Scope>,
    ) -> Result<Given> {
        let given = self.given(arguments, scope)?;
        let Some(caller) = caller else { return Ok(given) };
        let (positional, mut named) = given.into_parts();
        named.push(("caller".into(), caller));
        Ok(Given::new(positional, named))
    }

    /// Calls a value.
    pub fn call(&self, callee: &Value, given: Given) -> Result<Value> {
        match callee {
            Value::Global(global) => global.call(self, given),
            Value::Method(method) => match &method.0 {
                Value::Object(Object::Loop(state)) => loop_method(state, &method.1, given),
                Value::Object(Object::Cycler(cycler)) => {
                    let [] = given.bind(&method.1, [])?;
                    if &*method.1 == "next" {
                        return Ok(cycler.advance());
                    }
                    cycler.at.set(0);
                    Ok(Value::None)
                }
                base => methods::call(self, base, &method.1, given),
            },
            Value::Object(Object::Macro(value)) => self.call_macro(value, given),
            Value::Object(Object::Loop(state)) => self.call_loop(state, given),
            Value::Object(Object::Joiner(joiner)) => {
                let [] = given.bind("joiner", [])?;
                Ok(if joiner.used.replace(true) { joiner.text.clone() } else { Value::text("") })
            }
            other => Err(other
                .missing()
                .unwrap_or_else(|| Error::new(format!("'{}' object is not callable", other.type_name())))),
        }
    }

    fn call_loop(&self, state: &LoopState, given: Given) -> Result<Value> {
        if !state.definition.recursive {
            return refuse("The loop must have the 'recursive' marker to be called recursively.");
        }
        let [items] = given.bind("loop", ["iterable"])?;
        let items = items.ok_or_else(|| Error::new("loop() misses what to go through"))?;
        let written = self.capture(|text| {
            let depth = state.depth0.saturating_add(1);
            self.budget.deeper(|| self.for_loop(&state.definition, &items, depth, &state.scope, text))
        });
        written.map(Value::text)
    }

    fn call_macro(&self, value: &MacroValue, mut given: Given) -> Result<Value> {
        let definition = &value.definition;
        let name = definition.name.as_deref().unwrap_or("caller");
        let scope = Scope::new(Some(&value.scope));
        let required = definition.parameters.len().saturating_sub(definition.defaults.len());
        for (index, (symbol, parameter)) in definition.parameters.iter().enumerate() {
            let value = match (given.shift(), given.take(parameter)) {
                (Some(_), Some(_)) => {
                    return refuse(format!("macro '{name}' got two values for the argument '{parameter}'"));
                }
                (Some(value), None) | (None, Some(value)) => value,
                (None, None) => match index.checked_sub(required).and_then(|at| definition.defaults.get(at)) {
                    Some(default) => self.expression(default, &scope)?,
                    None => Value::undefined(format!("parameter '{parameter}' was not provided")),
                },
            };
            scope.set(*symbol, value);
        }
        if let Some(symbol) = definition.caller {
            let caller = given.take("caller").unwrap_or_else(|| Value::undefined("No caller defined"));
            scope.set(symbol, caller);
        }
        let (positional, named) = given.into_parts();
        match definition.kwargs {
            Some(symbol) => {
                let entries = named.into_iter().map(|(name, value)| (Value::Text(name), value));
                scope.set(symbol, Dict::new(entries)?.into_value());
            }
            None => {
                if let Some((unknown, _)) = named.first() {
                    return refuse(format!("macro '{name}' takes no keyword argument '{unknown}'"));
                }
            }
        }
        match definition.varargs {
            Some(symbol) => scope.set(symbol, Value::tuple(positional)?),
            None if !positional.is_empty() => {
                let most = definition.parameters.len();
                return refuse(format!("macro '{name}' takes not more than {most} argument(s)"));
            }
            None => {}
        }
        self.budget.deeper(|| self.captured(&definition.body, &scope)).map(Value::text)
    }
}

fn loop_method(state: &LoopState, name: &str, given: Given) -> Result<Value> {
    let values = given.only_positional(name)?;
    if name == "cycle" {
        let at = state.index().checked_rem(values.len());
        let item = at.and_then(|at| values.get(at)).cloned();
        return item.ok_or_else(|| Error::new("no items for cycling given"));
    }
    let mut last = state.last_changed.borrow_mut();
    let same = last
        .as_ref()
        .is_some_and(|last| last.len() == values.len() && last.iter().zip(&values).all(|(a, b)| equal(a, b)));
    if !same {
        *last = Some(values);
    }
    Ok(Value::Bool(!same))
}
