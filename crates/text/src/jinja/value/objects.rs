//! Values with a life of their own: ranges, views of mappings, what is read once, loops, namespaces, macros.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::super::error::{Result, refuse};
use super::super::syntax::ast;
use super::number::int_of;
use super::order::equal;
use super::{Cursor, Cycler, Dict, Items, LoopState, Namespace, Object, Range, Scope, Value, View, ViewKind};

impl Range {
    /// How many values it has.
    pub fn len(&self) -> usize {
        let (start, stop, step) = (i128::from(self.start), i128::from(self.stop), i128::from(self.step));
        let span = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
        let count = u128::try_from(span).unwrap_or(0).div_ceil(step.unsigned_abs());
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// The value at an index below its length.
    pub fn at(&self, index: usize) -> Value {
        Value::Int(self.start.wrapping_add((index as i64).wrapping_mul(self.step)))
    }

    /// All values.
    pub fn values(&self) -> Vec<Value> {
        (0..self.len()).map(|index| self.at(index)).collect()
    }

    /// True when it has the value.
    pub fn contains(&self, value: &Value) -> bool {
        match int_of(value) {
            Some(int) => {
                let offset = i128::from(int).saturating_sub(i128::from(self.start));
                let step = i128::from(self.step);
                let at = offset.checked_div(step).filter(|_| offset.checked_rem(step) == Some(0));
                at.is_some_and(|at| (0..self.len() as i128).contains(&at))
            }
            None => self.values().iter().any(|other| equal(other, value)),
        }
    }

    pub(super) fn values_equal(&self, other: &Self) -> bool {
        let ends = |range: &Self| (range.len() > 0).then_some(range.start);
        self.len() == other.len() && ends(self) == ends(other) && (self.len() < 2 || self.step == other.step)
    }

    pub(super) fn written(&self) -> String {
        match self.step {
            1 => format!("range({}, {})", self.start, self.stop),
            step => format!("range({}, {}, {step})", self.start, self.stop),
        }
    }
}

impl ViewKind {
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Keys => "dict_keys",
            Self::Values => "dict_values",
            Self::Items => "dict_items",
        }
    }
}

impl View {
    /// What it gives one after another.
    pub fn values(&self) -> Result<Vec<Value>> {
        let entries = self.dict.iter();
        match self.kind {
            ViewKind::Keys => Ok(entries.map(|(key, _)| key.clone()).collect()),
            ViewKind::Values => Ok(entries.map(|(_, value)| value.clone()).collect()),
            ViewKind::Items => entries.map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect(),
        }
    }

    pub(super) fn is_keys(&self) -> bool {
        self.kind == ViewKind::Keys
    }

    pub(super) fn is_set(&self) -> bool {
        self.kind != ViewKind::Values
    }
}

impl Cursor {
    pub(super) fn new(kind: &'static str, items: Items) -> Self {
        Self { kind, items, at: Cell::new(0) }
    }

    /// The next value.
    pub fn next(&self) -> Option<Value> {
        let value = self.items.values.get(self.at.get()).cloned();
        self.at.set(self.at.get().saturating_add(usize::from(value.is_some())));
        value
    }

    /// All that is left.
    pub fn take_all(&self) -> Vec<Value> {
        let from = self.at.replace(self.items.values.len());
        self.items.values.get(from..).unwrap_or_default().to_vec()
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.items.values.len().saturating_sub(self.at.get())
    }

    pub(super) fn depth(&self) -> u32 {
        self.items.depth
    }
}

impl Object {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Macro(_) => "Macro",
            Self::Cycler(_) => "Cycler",
            Self::Joiner(_) => "Joiner",
        }
    }

    pub(super) fn same(a: &Self, b: &Self) -> bool {
        match (a, b) {
            (Self::Namespace(a), Self::Namespace(b)) => Rc::ptr_eq(a, b),
            (Self::Loop(a), Self::Loop(b)) => Rc::ptr_eq(a, b),
            (Self::Macro(a), Self::Macro(b)) => Rc::ptr_eq(a, b),
            (Self::Cycler(a), Self::Cycler(b)) => Rc::ptr_eq(a, b),
            (Self::Joiner(a), Self::Joiner(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Namespaces count as one level whatever they hold: they may hold themselves.
    pub(super) fn depth(&self) -> u32 {
        match self {
            Self::Cycler(cycler) => cycler.items.depth,
            Self::Loop(_) => 2,
            _ => 1,
        }
    }
}

impl Namespace {
    /// A field.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.0.borrow().iter().find(|(known, _)| **known == *name).map(|(_, value)| value.clone())
    }

    /// Sets a field.
    pub fn set(&self, name: &Arc<str>, value: Value) {
        let mut fields = self.0.borrow_mut();
        match fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, field)) => *field = value,
            None => fields.push((Arc::clone(name), value)),
        }
    }

    /// Takes all fields away, so that what holds itself is freed.
    pub fn clear(&self) {
        // What is freed may be other namespaces: not while this one is borrowed.
        let fields = self.0.take();
        drop(fields);
    }

    pub(super) fn snapshot(&self) -> Result<Dict> {
        let fields = self.0.borrow().clone();
        if fields.iter().any(|(_, value)| matches!(value, Value::Object(Object::Namespace(_)))) {
            return refuse("a namespace inside a namespace cannot be written");
        }
        Dict::new(fields.into_iter().map(|(name, value)| (Value::Text(name), value)))
    }
}

impl LoopState {
    /// Before the first turn.
    pub fn new(items: Vec<Value>, depth0: usize, definition: Arc<ast::For>, scope: Rc<Scope>) -> Self {
        Self { items, index: Cell::new(0), depth0, last_changed: RefCell::new(None), definition, scope }
    }

    /// Turns before the current one.
    pub fn index(&self) -> usize {
        self.index.get()
    }

    /// Goes to a turn.
    pub fn set_index(&self, index: usize) {
        self.index.set(index);
    }
}

impl Cycler {
    /// At the first of some values.
    ///
    /// # Errors
    /// Without values.
    pub fn new(values: Vec<Value>) -> Result<Self> {
        if values.is_empty() {
            return refuse("at least one item has to be provided");
        }
        Ok(Self { items: Items::new(values)?, at: Cell::new(0) })
    }

    /// The current value.
    pub fn current(&self) -> Value {
        self.items.values.get(self.at.get()).or(self.items.values.first()).cloned().unwrap_or(Value::None)
    }

    /// The current value; goes on to the next.
    pub fn advance(&self) -> Value {
        let current = self.current();
        let next = self.at.get().saturating_add(1);
        self.at.set(if next < self.items.values.len() { next } else { 0 });
        current
    }
}
