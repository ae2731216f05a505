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
    let (tokens, end) = lex(source)?;
    let mut parser = Parser {
        tokens,
        end,
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

/// What the parser counts around the current place.
#[derive(Clone, Copy)]
pub(super) enum Around {
    Level,
    Loop,
    Condition,
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    /// What comes after them.
    end: Token,
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
        self.tokens.get(self.at).unwrap_or(&self.end)
    }

    pub fn kind(&self) -> &Kind {
        &self.token().kind
    }

    pub fn line(&self) -> u32 {
        self.token().line
    }

    pub fn peek(&self) -> &Kind {
        &self.tokens.get(self.at.saturating_add(1)).unwrap_or(&self.end).kind
    }

    pub fn next(&mut self) -> Kind {
        let kind = self.kind().clone();
        self.skip(true);
        kind
    }

    /// Passes a token if it is the one.
    fn skip(&mut self, found: bool) -> bool {
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    pub fn is_sign(&self, sign: &str) -> bool {
        matches!(self.kind(), Kind::Sign(found) if *found == sign)
    }

    pub fn is_name(&self, name: &str) -> bool {
        matches!(self.kind(), Kind::Name(found) if &**found == name)
    }

    pub fn skip_sign(&mut self, sign: &str) -> bool {
        self.skip(self.is_sign(sign))
    }

    pub fn skip_name(&mut self, name: &str) -> bool {
        self.skip(self.is_name(name))
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
        if self.skip(self.kind() == kind) { Ok(()) } else { Err(self.unexpected(&kind.describe())) }
    }

    /// An error that says what stands where something else belongs.
    pub fn unexpected(&self, expected: &str) -> Error {
        Error::new(format!("expected {expected}, got {}", self.kind().describe())).at(self.line())
    }

    /// The symbol of a variable's name.
    pub fn symbol(&mut self, name: &Arc<str>) -> Symbol {
        if let Some(at) = SPECIALS.iter().position(|special| **special == **name) {
            self.specials.iter_mut().filter_map(|used| used.get_mut(at)).for_each(|used| *used = true);
        }
        if let Some(symbol) = self.symbols.get(name) {
            return *symbol;
        }
        let symbol = self.names.len();
        self.names.push(Arc::clone(name));
        self.symbols.insert(Arc::clone(name), symbol);
        symbol
    }

    /// Runs `parse` one level deeper.
    pub fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.inside(Around::Level, parse)
    }

    /// Runs `parse` with one more of these around it.
    pub fn inside<T>(&mut self, around: Around, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let count = |parser: &mut Self, by: fn(u32, u32) -> u32| {
            let counted = match around {
                Around::Level => &mut parser.depth,
                Around::Loop => &mut parser.loops,
                Around::Condition => &mut parser.conditions,
            };
            *counted = by(*counted, 1);
        };
        count(self, u32::saturating_add);
        let parsed = parse(self);
        count(self, u32::saturating_sub);
        parsed
    }

    /// A node around expressions of at most `inner` levels.
    pub fn node(&self, kind: ExprKind, line: u32, inner: u32) -> Result<Expr> {
        let depth = inner.saturating_add(1);
        if depth > MAX_DEPTH { Err(self.too_deep()) } else { Ok(Expr { kind, line, depth }) }
    }

    fn too_deep(&self) -> Error {
        Error::new(format!("expressions or blocks are more than {MAX_DEPTH} levels deep")).at(self.line())
    }
}
