//! The tree of a template.

use std::sync::Arc;

use num_bigint::BigInt;

/// Index of a variable's name in [`Tree::names`].
pub(crate) type Symbol = usize;

/// Statements one after another.
pub(crate) type Body = Vec<Statement>;

/// Which filters and tests there are.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub filter: fn(&str) -> bool,
    pub test: fn(&str) -> bool,
}

/// A parsed template.
pub(crate) struct Tree {
    /// What it does.
    pub body: Body,
    /// Names of its variables.
    pub names: Vec<Arc<str>>,
    /// What it may ask for.
    pub known: Known,
}

/// An expression.
#[derive(Debug)]
pub(crate) struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Line of the template, from 1.
    pub line: u32,
    /// Expressions inside one another, itself included.
    pub depth: u32,
}

/// A value that stands in the template.
#[derive(Debug)]
pub(crate) enum Constant {
    None,
    Bool(bool),
    Int(BigInt),
    Float(f64),
    Text(Arc<str>),
}

/// Operators of two numbers or texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

/// Operators that give true or false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// Kinds of expressions. Operators of one rank that follow one another are one node, so that long chains are not deep.
#[derive(Debug)]
pub(crate) enum ExprKind {
    Constant(Constant),
    Name(Symbol),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Chain(Box<Expr>, Vec<(Arithmetic, Expr)>),
    Concat(Vec<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    Condition { test: Box<Expr>, yes: Box<Expr>, no: Option<Box<Expr>> },
    Attribute(Box<Expr>, Arc<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Arguments),
    Filter(Box<Expr>, FilterCall),
    Test { value: Box<Expr>, name: Arc<str>, arguments: Arguments, negated: bool },
}

/// A filter with its arguments.
#[derive(Debug)]
pub(crate) struct FilterCall {
    /// Its name.
    pub name: Arc<str>,
    /// Its arguments.
    pub arguments: Arguments,
    /// Line of the template, from 1.
    pub line: u32,
}

/// Arguments of a call.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub positional: Vec<Expr>,
    pub named: Vec<(Arc<str>, Expr)>,
    pub star: Option<Box<Expr>>,
    pub double_star: Option<Box<Expr>>,
}

/// What is assigned to.
#[derive(Debug)]
pub(crate) enum Target {
    Name(Symbol),
    Field(Symbol, Arc<str>),
    Tuple(Vec<Target>),
}

/// A loop.
#[derive(Debug)]
pub(crate) struct For {
    pub target: Target,
    pub items: Expr,
    pub condition: Option<Expr>,
    pub recursive: bool,
    pub body: Body,
    pub otherwise: Body,
    /// The symbol of `loop`.
    pub loop_symbol: Symbol,
}

/// A macro, or the body of a call block.
#[derive(Debug)]
pub(crate) struct Macro {
    pub name: Option<Arc<str>>,
    pub parameters: Vec<(Symbol, Arc<str>)>,
    /// Defaults of the last parameters.
    pub defaults: Vec<Expr>,
    pub body: Body,
    /// `varargs`, `kwargs` and `caller`, where the body uses them.
    pub varargs: Option<Symbol>,
    pub kwargs: Option<Symbol>,
    pub caller: Option<Symbol>,
}

/// A statement.
#[derive(Debug)]
pub(crate) enum Statement {
    Text(String),
    Print(Expr),
    For(Arc<For>),
    If { branches: Vec<(Expr, Body)>, otherwise: Body },
    Set(Target, Expr, u32),
    SetBlock { target: Target, filters: Vec<FilterCall>, body: Body, line: u32 },
    With { bindings: Vec<(Target, Expr)>, body: Body },
    Macro(Symbol, Arc<Macro>),
    CallBlock { call: Expr, caller: Arc<Macro> },
    FilterBlock { filters: Vec<FilterCall>, body: Body },
    Block(Body),
    Break,
    Continue,
}
