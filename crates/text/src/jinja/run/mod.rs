//! Runs a template: statements write text, expressions give values.

mod attributes;
mod calls;
mod expressions;
mod operators;
mod slices;
mod statements;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::budget::Budget;
use super::error::{Error, Result};
use super::syntax::ast::{Symbol, Tree};
use super::value::{Namespace, Object, Scope, Value, global};

/// Hears for what a template's loops run, and what is written meanwhile.
pub(crate) trait Observer {
    /// The body of a loop begins for an item. The loop is told by where it stands in the template.
    fn enter(&self, loop_id: usize, item: &Value);
    /// A variable gets a value.
    fn assigned(&self, value: &Value);
    /// A loop has ended, in whatever way.
    fn leave(&self, loop_id: usize);
    /// Text was added to the output, from one byte offset to another. Text that is captured for a variable is not yet
    /// written.
    fn wrote(&self, start: usize, end: usize);
}

/// One rendering.
pub(crate) struct Run<'a> {
    tree: &'a Tree,
    budget: Budget,
    root: Rc<Scope>,
    strftime: &'a dyn Fn(&str) -> String,
    observer: Option<&'a dyn Observer>,
    /// Captures that are going on, one inside the other.
    captures: Cell<u32>,
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
        budget: Budget,
        max_output: usize,
        strftime: &'a dyn Fn(&str) -> String,
    ) -> Self {
        let root = Scope::new(None);
        for (name, value) in variables {
            if let Some(symbol) = tree.names.iter().position(|known| *known == name) {
                root.set(symbol, value);
            }
        }
        let (circles, captures) = (RefCell::default(), Cell::new(0));
        Self { tree, budget, root, strftime, observer: None, captures, circles, max_output }
    }

    /// The same rendering, observed.
    pub fn observed(mut self, observer: &'a dyn Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The text.
    pub fn render(&self) -> Result<String> {
        let mut out = String::new();
        let root = Rc::clone(&self.root);
        self.body(&self.tree.body, &root, &mut out)?;
        Ok(out)
    }

    /// True when there is a filter of this name.
    pub fn has_filter(&self, name: &str) -> bool {
        (self.tree.known.filter)(name)
    }

    /// What it may spend.
    pub fn budget(&self) -> &Budget {
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
            let name = self.tree.names.get(symbol).map_or("", |name| name);
            global(name).map_or_else(|| Value::undefined(format!("'{name}' is undefined")), Value::Global)
        })
    }

    /// The text that `write` adds, which is not part of the output yet.
    fn capture<T>(&self, write: impl FnOnce(&mut String) -> Result<T>) -> Result<String> {
        let mut text = String::new();
        let around = self.captures.get();
        self.captures.set(around.saturating_add(1));
        let written = write(&mut text);
        self.captures.set(around);
        written.map(|_| text)
    }

    /// Adds text to the output.
    fn write(&self, text: &str, out: &mut String) -> Result<()> {
        self.budget.text(text.len())?;
        if out.len().saturating_add(text.len()) > self.max_output {
            return Err(Error::new(format!("the rendered text is longer than {} MB", self.max_output >> 20)));
        }
        let start = out.len();
        out.push_str(text);
        if let Some(observer) = self.observer.filter(|_| self.captures.get() == 0) {
            observer.wrote(start, out.len());
        }
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
