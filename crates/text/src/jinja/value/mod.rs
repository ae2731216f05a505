//! Values of templates, which behave as Python's do. All are immutable but namespaces, as in jinja2's immutable sandbox.

mod dict;
mod exact;
mod globals;
mod number;
mod objects;
mod order;
mod scope;
mod written;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use num_bigint::BigInt;

pub(crate) use exact::read_json;
pub(crate) use globals::global;
pub(crate) use number::{arithmetic, float_of, int_of, integer, negative, parse_int, to_big};
pub(crate) use order::{compare, contains, equal, sort_by};
pub(crate) use written::{float_repr, repr, to_text};

use super::error::{Error, Result, refuse};
use super::syntax::ast::{self, Symbol};

/// Deepest nesting of lists and mappings in one another; JSON rows end at 128.
const MAX_DEPTH: u32 = 256;

/// A value.
#[derive(Clone)]
pub(crate) enum Value {
    /// Nothing, and why: a name, key or argument that is not there.
    Undefined(Rc<str>),
    None,
    Bool(bool),
    Int(i64),
    /// An integer that 64 bits do not hold.
    Big(Rc<BigInt>),
    Float(f64),
    Text(Arc<str>),
    /// Text that is already escaped for HTML: what is added to it gets escaped.
    Markup(Arc<str>),
    List(Rc<Items>),
    Tuple(Rc<Items>),
    Dict(Rc<Dict>),
    Range(Rc<Range>),
    /// The keys, values or items of a mapping.
    View(Rc<View>),
    /// What can be read once: the result of `map`, `select` and the like.
    Cursor(Rc<Cursor>),
    /// A method and the value it belongs to.
    Method(Rc<(Value, Arc<str>)>),
    Global(Global),
    Object(Object),
}

/// The entries of a list or tuple.
pub(crate) struct Items {
    pub values: Vec<Value>,
    /// Lists and mappings inside one another, itself included.
    depth: u32,
    /// True for a pair of `groupby`, whose entries have names.
    pub is_group: bool,
}

/// Python's `range`.
pub(crate) struct Range {
    pub start: i64,
    pub stop: i64,
    pub step: i64,
}

/// What a view shows of its mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ViewKind {
    Keys,
    Values,
    Items,
}

/// The keys, values or items of a mapping.
pub(crate) struct View {
    pub dict: Rc<Dict>,
    pub kind: ViewKind,
}

/// Values that can be read once, as Python's generators.
pub(crate) struct Cursor {
    /// Its type's name in Python.
    pub kind: &'static str,
    items: Items,
    at: Cell<usize>,
}

/// Objects of jinja2.
#[derive(Clone)]
pub(crate) enum Object {
    Namespace(Rc<Namespace>),
    Loop(Rc<LoopState>),
    Macro(Rc<MacroValue>),
    Cycler(Rc<Cycler>),
    Joiner(Rc<Joiner>),
}

/// `namespace(…)`: the one value whose fields can be set.
#[derive(Default)]
pub(crate) struct Namespace(RefCell<Vec<(Arc<str>, Value)>>);

/// The variable `loop`.
pub(crate) struct LoopState {
    pub items: Vec<Value>,
    index: Cell<usize>,
    /// Loops of a recursion around it.
    pub depth0: usize,
    /// What `changed` was last asked about.
    pub last_changed: RefCell<Option<Vec<Value>>>,
    /// The loop and where it stands, so that it can be called.
    pub definition: Arc<ast::For>,
    pub scope: Rc<Scope>,
}

/// A macro, or the body of a call block.
pub(crate) struct MacroValue {
    pub definition: Arc<ast::Macro>,
    /// Where it was defined.
    pub scope: Rc<Scope>,
}

/// `cycler(…)`.
pub(crate) struct Cycler {
    pub items: Items,
    pub at: Cell<usize>,
}

/// `joiner(…)`: nothing at its first call, its text at the others.
pub(crate) struct Joiner {
    pub text: Value,
    pub used: Cell<bool>,
}

/// A mapping.
pub(crate) struct Dict {
    entries: IndexMap<Key, Value>,
    depth: u32,
}

/// A value that can be a key.
#[derive(Clone)]
pub(crate) struct Key(Value);

/// The variables of a block, and the scope around it.
pub(crate) struct Scope {
    variables: RefCell<Vec<(Symbol, Value)>>,
    outer: Option<Rc<Self>>,
}

/// A function that every template has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    Range,
    Dict,
    Lipsum,
    Cycler,
    Joiner,
    Namespace,
    RaiseException,
    StrftimeNow,
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A missing value and why it is missing.
    pub fn undefined(why: impl Into<Rc<str>>) -> Self {
        Self::Undefined(why.into())
    }

    /// A list.
    ///
    /// # Errors
    /// When values are nested too deep.
    pub fn list(values: Vec<Self>) -> Result<Self> {
        Items::new(values).map(|items| Self::List(Rc::new(items)))
    }

    /// A tuple.
    ///
    /// # Errors
    /// When values are nested too deep.
    pub fn tuple(values: Vec<Self>) -> Result<Self> {
        Items::new(values).map(|items| Self::Tuple(Rc::new(items)))
    }

    /// What the members of a group share, and its members.
    ///
    /// # Errors
    /// When values are nested too deep.
    pub fn group(shared: Self, members: Vec<Self>) -> Result<Self> {
        let items = Items::new(vec![shared, Self::list(members)?])?;
        Ok(Self::Tuple(Rc::new(Items { is_group: true, ..items })))
    }

    /// What can be read once.
    ///
    /// # Errors
    /// When values are nested too deep.
    pub fn cursor(kind: &'static str, values: Vec<Self>) -> Result<Self> {
        Items::new(values).map(|items| Self::Cursor(Rc::new(Cursor::new(kind, items))))
    }

    /// Its text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Markup(text) => Some(text),
            _ => None,
        }
    }

    /// Where a mapping is, which tells it from an equal one; none for other values.
    pub fn place(&self) -> Option<usize> {
        match self {
            Self::Dict(dict) => Some(Rc::as_ptr(dict).addr()),
            _ => None,
        }
    }

    /// True for nothing.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// Python's `bool(value)`.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(_) | Self::Int(_) | Self::Big(_) | Self::Float(_) => self.is_true_number(),
            _ => self.length().is_none_or(|length| length > 0),
        }
    }

    /// Python's `len(value)`, where it has one.
    pub fn length(&self) -> Option<usize> {
        match self {
            Self::Undefined(_) => Some(0),
            Self::Text(text) | Self::Markup(text) => Some(text.chars().count()),
            Self::List(items) | Self::Tuple(items) => Some(items.values.len()),
            Self::Dict(dict) => Some(dict.len()),
            Self::View(view) => Some(view.dict.len()),
            Self::Range(range) => Some(range.len()),
            Self::Object(Object::Loop(state)) => Some(state.items.len()),
            _ => None,
        }
    }

    /// The name of its type in Python.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Big(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::Markup(_) => "Markup",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Range(_) => "range",
            Self::View(view) => view.kind.type_name(),
            Self::Cursor(cursor) => cursor.kind,
            Self::Method(_) => "builtin_function_or_method",
            Self::Global(_) => "function",
            Self::Object(object) => object.type_name(),
        }
    }

    /// How deep lists and mappings are nested in it.
    fn depth(&self) -> u32 {
        match self {
            Self::List(items) | Self::Tuple(items) => items.depth,
            Self::Dict(dict) => dict.depth,
            Self::View(view) => view.dict.depth.saturating_add(1),
            Self::Cursor(cursor) => cursor.depth(),
            Self::Method(method) => method.0.depth().saturating_add(1),
            Self::Object(object) => object.depth(),
            _ => 0,
        }
    }

    /// The error of using nothing.
    pub fn missing(&self) -> Option<Error> {
        match self {
            Self::Undefined(why) => Some(Error::new(&**why)),
            _ => None,
        }
    }

    /// The values it gives one after another.
    ///
    /// # Errors
    /// For what is not iterable.
    pub fn iterate(&self) -> Result<Vec<Self>> {
        Ok(match self {
            Self::Undefined(_) => Vec::new(),
            Self::Text(text) => text.chars().map(Self::letter).collect(),
            Self::Markup(text) => text.chars().map(|c| Self::Markup(c.to_string().into())).collect(),
            Self::List(items) | Self::Tuple(items) => items.values.clone(),
            Self::Dict(dict) => dict.keys().cloned().collect(),
            Self::View(view) => view.values()?,
            Self::Range(range) => range.values(),
            Self::Cursor(cursor) => cursor.take_all(),
            Self::Object(Object::Loop(_)) => return refuse("a loop cannot be gone through from inside itself"),
            _ => return refuse(format!("'{}' object is not iterable", self.type_name())),
        })
    }

    /// How many values [`Self::iterate`] gives at most, without making them.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Markup(text) => text.len(),
            Self::Cursor(cursor) => cursor.left(),
            _ => self.length().unwrap_or(0),
        }
    }

    /// A text of one letter.
    pub fn letter(c: char) -> Self {
        Self::text(c.encode_utf8(&mut [0; 4]) as &str)
    }
}

impl Items {
    fn new(values: Vec<Value>) -> Result<Self> {
        let depth = nested(&values)?;
        Ok(Self { values, depth, is_group: false })
    }
}

/// The depth of something that holds `values`.
fn nested<'a>(values: impl IntoIterator<Item = &'a Value>) -> Result<u32> {
    let depth = values.into_iter().map(Value::depth).max().unwrap_or(0).saturating_add(1);
    if depth > MAX_DEPTH { refuse(format!("values are nested more than {MAX_DEPTH} deep")) } else { Ok(depth) }
}
