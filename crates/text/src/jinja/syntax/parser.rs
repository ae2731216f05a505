//! The parser's state: tokens, names, depth. Expressions and statements are in files of their own.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::error::{Error, Result};
use super::ast::{Expr, ExprKind, Known, Symbol, Tree};
use super::lexer::lex;
use super::token::{Kind, Token};

/// Longest source in bytes; the largest published templates have 50,000.
const MAX_SOURCE: usize = 1 << 20;
/// Deepest nesting of expressions or of blocks. Python refuses 200 parentheses inside one another, and 100 blocks.
const MAX_DEPTH: u32 = 200;

/// Parses a template.
///
/// # Errors
/// What jinja2 refuses as well, and templates beyond the limits of size and depth.
pub(crate) fn parse(source: &str, known: Known) -> Result<Tree> {
    if source.len() > MAX_SOURCE {
        return Err(Error::new(format!("it has {} bytes, more than {MAX_SOURCE}", source.len())));
    }
    let mut parser = Parser {
        tokens: lex(source)?,
        at: 0,
        known,
        names: Vec::new(),
        symbols: HashMap::new(),
        depth: 0,
        loops: 0,
        conditions: 0,
        specials: Vec::new(),
        unknown: Vec::new(),
    };
    let body = parser.body(&[])?;
    if let Some(error) = parser.unknown.into_iter().next() {
        return Err(error);
    }
    Ok(Tree { body, names: parser.names, known })
}

/// What a macro's body asks for beyond its parameters.
pub(super) const SPECIALS: [&str; 3] = ["varargs", "kwargs", "caller"];

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    pub known: Known,
    names: Vec<Arc<str>>,
    symbols: HashMap<Arc<str>, Symbol>,
    depth: u32,
    /// Loops around the current statement.
    pub loops: u32,
    /// Conditions around the current place: names of filters and tests there are looked up only when they are reached.
    pub conditions: u32,
    /// Filters and tests that there are not, outside conditions.
    pub unknown: Vec<Error>,
    /// Which of [`SPECIALS`] each macro around the current place uses.
    pub specials: Vec<[bool; 3]>,
}

impl Parser {
    pub fn token(&self) -> &Token {
        // The last token is the end, which is never passed.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub fn kind(&self) -> &Kind {
        &self.token().kind
    }

    pub fn line(&self) -> u32 {
        self.token().line
    }

    pub fn peek(&self) -> &Kind {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].kind
    }

    pub fn next(&mut self) -> Kind {
        let kind = self.kind().clone();
        self.at += 1;
        kind
    }

    pub fn is_sign(&self, sign: &str) -> bool {
        matches!(self.kind(), Kind::Sign(found) if *found == sign)
    }

    pub fn is_name(&self, name: &str) -> bool {
        matches!(self.kind(), Kind::Name(found) if &**found == name)
    }

    pub fn skip_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    pub fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }

    pub fn expect_sign(&mut self, sign: &str) -> Result<()> {
        if self.skip_sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("'{sign}'"))) }
    }

    pub fn expect_name(&mut self) -> Result<Arc<str>> {
        match self.kind() {
            Kind::Name(_) => {
                let Kind::Name(name) = self.next() else { return Err(self.unexpected("a name")) };
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    pub fn expect(&mut self, kind: &Kind) -> Result<()> {
        if self.kind() == kind {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected(&kind.describe()))
    }

    /// An error that says what stands where something else belongs.
    pub fn unexpected(&self, expected: &str) -> Error {
        Error::new(format!("expected {expected}, got {}", self.kind().describe())).at(self.line())
    }

    /// The symbol of a variable's name.
    pub fn symbol(&mut self, name: &Arc<str>) -> Symbol {
        if let Some(at) = SPECIALS.iter().position(|special| **special == **name) {
            self.specials.iter_mut().for_each(|used| used[at] = true);
        }
        if let Some(symbol) = self.symbols.get(name) {
            return *symbol;
        }
        self.names.push(Arc::clone(name));
        self.symbols.insert(Arc::clone(name), self.names.len() - 1);
        self.names.len() - 1
    }

    /// Runs `parse` one level deeper.
    pub fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// A node around expressions of at most `inner` levels.
    pub fn node(&self, kind: ExprKind, line: u32, inner: u32) -> Result<Expr> {
        if inner >= MAX_DEPTH { Err(self.too_deep()) } else { Ok(Expr { kind, line, depth: inner + 1 }) }
    }

    fn too_deep(&self) -> Error {
        Error::new(format!("expressions or blocks are more than {MAX_DEPTH} levels deep")).at(self.line())
    }
}
