//! Statements.

use std::rc::Rc;
use std::sync::Arc;

use super::super::error::{Result, refuse};
use super::super::syntax::ast::{Body, Expr, FilterCall, For, Statement, Target};
use super::super::value::{LoopState, MacroValue, Object, Value};
use super::{Run, Scope};

/// How the statements after one go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

impl Run<'_> {
    /// Runs statements one after another.
    pub(super) fn body(&self, body: &Body, scope: &Rc<Scope>, out: &mut String) -> Result<Flow> {
        for statement in body {
            let flow = match statement {
                Statement::Text(text) => self.write(text, out).map(|()| Flow::Next)?,
                other => self.budget.deeper(|| self.statement(other, scope, out))?,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// The text that statements write.
    pub(super) fn captured(&self, body: &Body, scope: &Rc<Scope>) -> Result<String> {
        self.capture(|text| self.body(body, scope, text))
    }

    fn statement(&self, statement: &Statement, scope: &Rc<Scope>, out: &mut String) -> Result<Flow> {
        match statement {
            Statement::Text(text) => self.write(text, out)?,
            Statement::Print(expr) => self.print(expr, scope, out)?,
            Statement::For(definition) => {
                let items = self.expression(&definition.items, scope)?;
                return self.for_loop(definition, &items, 0, scope, out);
            }
            Statement::If { branches, otherwise } => {
                for (test, body) in branches {
                    if self.expression(test, scope)?.is_true() {
                        return self.body(body, scope, out);
                    }
                }
                return self.body(otherwise, scope, out);
            }
            Statement::Set(target, expr, line) => self.set(target, expr, *line, scope)?,
            Statement::SetBlock { target, filters, body, line } => {
                let text = self.captured(body, &Scope::new(Some(scope)))?;
                let value = self.filtered(Value::text(text), filters, scope)?;
                self.assign(target, value, scope).map_err(|error| error.at(*line))?;
            }
            Statement::With { bindings, body } => {
                let inner = Scope::new(Some(scope));
                for (target, expr) in bindings {
                    let value = self.expression(expr, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.body(body, &inner, out);
            }
            Statement::Macro(symbol, definition) => scope.set(*symbol, self.macro_value(definition, scope)),
            Statement::CallBlock { call, caller } => {
                let caller = self.macro_value(caller, scope);
                let value = self.call_with(call, Some(caller), scope)?;
                self.write(&self.text_of(&value).map_err(|error| error.at(call.line))?, out)?;
            }
            Statement::FilterBlock { filters, body } => {
                let inner = Scope::new(Some(scope));
                let text = self.captured(body, &inner)?;
                let value = self.filtered(Value::text(text), filters, &inner)?;
                self.write(&self.text_of(&value)?, out)?;
            }
            Statement::Block(body) => {
                self.body(body, &Scope::new(Some(&self.root)), out)?;
            }
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&self, expr: &Expr, scope: &Rc<Scope>, out: &mut String) -> Result<()> {
        let value = self.expression(expr, scope)?;
        match value.as_text() {
            Some(text) => self.write(text, out),
            None => self.write(&self.text_of(&value).map_err(|error| error.at(expr.line))?, out),
        }
    }

    fn set(&self, target: &Target, expr: &Expr, line: u32, scope: &Rc<Scope>) -> Result<()> {
        let value = self.expression(expr, scope)?;
        if let Some(observer) = self.observer {
            observer.assigned(&value);
        }
        self.assign(target, value, scope).map_err(|error| error.at(line))
    }

    fn filtered(&self, mut value: Value, filters: &[FilterCall], scope: &Rc<Scope>) -> Result<Value> {
        for filter in filters {
            value = self.filter(value, filter, scope)?;
        }
        Ok(value)
    }

    fn macro_value(&self, definition: &Arc<super::super::syntax::ast::Macro>, scope: &Rc<Scope>) -> Value {
        self.remember(scope);
        let value = MacroValue { definition: Arc::clone(definition), scope: Rc::clone(scope) };
        Value::Object(Object::Macro(Rc::new(value)))
    }

    /// Runs a loop over `items`; `depth0` counts the loops of a recursion around it.
    pub(super) fn for_loop(
        &self,
        definition: &Arc<For>,
        items: &Value,
        depth0: usize,
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Result<Flow> {
        let items = self.loop_items(definition, items, scope)?;
        if items.is_empty() {
            return self.body(&definition.otherwise, &Scope::new(Some(scope)), out);
        }
        let state = Rc::new(LoopState::new(items, depth0, Arc::clone(definition), Rc::clone(scope)));
        let loop_id = Arc::as_ptr(definition).addr();
        for (index, item) in state.items.iter().enumerate() {
            self.budget.spend(1)?;
            state.set_index(index);
            if let Some(observer) = self.observer {
                observer.enter(loop_id, item);
            }
            let inner = Scope::new(Some(scope));
            inner.set(definition.loop_symbol, Value::Object(Object::Loop(Rc::clone(&state))));
            self.assign(&definition.target, item.clone(), &inner).map_err(|error| error.at(definition.items.line))?;
            if self.body(&definition.body, &inner, out)? == Flow::Break {
                break;
            }
        }
        if let Some(observer) = self.observer {
            observer.leave(loop_id);
        }
        Ok(Flow::Next)
    }

    fn loop_items(&self, definition: &For, items: &Value, scope: &Rc<Scope>) -> Result<Vec<Value>> {
        let line = definition.items.line;
        self.budget.items(items.size()).map_err(|error| error.at(line))?;
        let items = items.iterate().map_err(|error| error.at(line))?;
        let Some(condition) = &definition.condition else { return Ok(items) };
        let mut kept = Vec::with_capacity(items.len());
        for item in items {
            let inner = Scope::new(Some(scope));
            self.assign(&definition.target, item.clone(), &inner).map_err(|error| error.at(line))?;
            if self.expression(condition, &inner)?.is_true() {
                kept.push(item);
            }
        }
        Ok(kept)
    }

    fn assign(&self, target: &Target, value: Value, scope: &Rc<Scope>) -> Result<()> {
        match target {
            Target::Name(symbol) => scope.set(*symbol, value),
            Target::Field(symbol, field) => match self.variable(*symbol, scope) {
                Value::Object(Object::Namespace(namespace)) => namespace.set(field, value),
                _ => return refuse("cannot assign attribute on non-namespace object"),
            },
            Target::Tuple(targets) => {
                if let Some(error) = value.missing() {
                    return Err(error);
                }
                let values = value.iterate()?;
                if values.len() != targets.len() {
                    return refuse(format!("expected {} values to unpack, got {}", targets.len(), values.len()));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, scope)?;
                }
            }
        }
        Ok(())
    }
}
