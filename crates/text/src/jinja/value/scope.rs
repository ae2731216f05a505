//! Variables: a chain of scopes, the innermost first.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::syntax::ast::Symbol;
use super::{Scope, Value};

impl Scope {
    /// An empty scope.
    pub fn new(outer: Option<&Rc<Self>>) -> Rc<Self> {
        Rc::new(Self { variables: RefCell::default(), outer: outer.cloned() })
    }

    /// The variable, here or further out.
    pub fn get(&self, symbol: Symbol) -> Option<Value> {
        let mut scope = self;
        loop {
            let found =
                scope.variables.borrow().iter().find(|(known, _)| *known == symbol).map(|(_, value)| value.clone());
            match (found, &scope.outer) {
                (None, Some(outer)) => scope = outer,
                (found, _) => return found,
            }
        }
    }

    /// Sets the variable here.
    pub fn set(&self, symbol: Symbol, value: Value) {
        let mut variables = self.variables.borrow_mut();
        let known = variables.iter_mut().find(|(known, _)| *known == symbol);
        let replaced = if let Some((_, variable)) = known {
            Some(std::mem::replace(variable, value))
        } else {
            variables.push((symbol, value));
            None
        };
        // What is freed may be other scopes: not while this one is borrowed.
        drop(variables);
        drop(replaced);
    }

    /// Takes all variables away.
    pub fn clear(&self) {
        let variables = self.variables.take();
        drop(variables);
    }
}
