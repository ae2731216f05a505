//! Runs a template: statements write text, expressions give values.

mod attributes;
mod calls;
mod expressions;
mod operators;
mod scope;
mod slices;
mod statements;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use scope::Scope;

use super::budget::Budget;
use super::error::{Error, Result};
use super::globals;
use super::syntax::ast::{Symbol, Tree};
use super::value::{Namespace, Object, Value};

/// One rendering.
pub(crate) struct Run<'a> {
    tree: &'a Tree,
    budget: Budget<'a>,
    root: Rc<Scope>,
    strftime: &'a dyn Fn(&str) -> String,
    /// What may hold itself, emptied at the end.
    circles: RefCell<Vec<Circle>>,
    /// Longest text of the whole rendering, in bytes.
    max_output: usize,
}

enum Circle {
    Namespace(Rc<Namespace>),
    Scope(Rc<Scope>),
}

impl<'a> Run<'a> {
    /// A rendering of `tree` with these variables.
    pub fn new(
        tree: &'a Tree,
        variables: impl IntoIterator<Item = (Arc<str>, Value)>,
        budget: Budget<'a>,
        max_output: usize,
        strftime: &'a dyn Fn(&str) -> String,
    ) -> Self {
        let root = Scope::new(None);
        for (name, value) in variables {
            if let Some(symbol) = tree.names.iter().position(|known| *known == name) {
                root.set(symbol, value);
            }
        }
        Self { tree, budget, root, strftime, circles: RefCell::default(), max_output }
    }

    /// The text.
    pub fn render(&self) -> Result<String> {
        let mut out = String::new();
        let root = Rc::clone(&self.root);
        self.body(&self.tree.body, &root, &mut out)?;
        Ok(out)
    }

    /// What it may spend.
    pub fn budget(&self) -> &Budget<'a> {
        &self.budget
    }

    /// The moment of the rendering in a format of `strftime`.
    pub fn strftime_now(&self, format: &str) -> String {
        (self.strftime)(format)
    }

    /// A namespace as a value.
    pub fn namespace(&self, namespace: Namespace) -> Value {
        let namespace = Rc::new(namespace);
        self.circles.borrow_mut().push(Circle::Namespace(Rc::clone(&namespace)));
        Value::Object(Object::Namespace(namespace))
    }

    /// Remembers a scope that a macro refers to.
    fn remember(&self, scope: &Rc<Scope>) {
        self.circles.borrow_mut().push(Circle::Scope(Rc::clone(scope)));
    }

    /// The value of a variable: from the scopes, else a function of that name, else nothing.
    fn variable(&self, symbol: Symbol, scope: &Rc<Scope>) -> Value {
        scope.get(symbol).unwrap_or_else(|| {
            let name = &self.tree.names[symbol];
            globals::find(name).map_or_else(|| Value::undefined(format!("'{name}' is undefined")), Value::Global)
        })
    }

    /// Adds text to the output.
    fn write(&self, text: &str, out: &mut String) -> Result<()> {
        self.budget.text(text.len())?;
        if out.len() + text.len() > self.max_output {
            return Err(Error::new(format!("the rendered text is longer than {} MB", self.max_output >> 20)));
        }
        out.push_str(text);
        Ok(())
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        for circle in self.circles.take() {
            match circle {
                Circle::Namespace(namespace) => namespace.clear(),
                Circle::Scope(scope) => scope.clear(),
            }
        }
    }
}
