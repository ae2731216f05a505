//! Expressions, with the precedence that jinja2 gives them.

use std::sync::Arc;

use super::super::error::{Error, Result};
use super::ast::{Arguments, Arithmetic, Comparison, Constant, Expr, ExprKind, FilterCall};
use super::parser::{Around, Parser};
use super::token::Kind;

/// The depth of the deepest of some expressions.
fn deepest<'a>(parts: impl IntoIterator<Item = &'a Expr>) -> u32 {
    parts.into_iter().map(|part| part.depth).max().unwrap_or(0)
}

impl Parser {
    /// A whole expression.
    pub fn expression(&mut self) -> Result<Expr> {
        self.deeper(Self::condition)
    }

    fn condition(&mut self) -> Result<Expr> {
        let known = self.unknown.len();
        let mut expr = self.or()?;
        while self.is_name("if") {
            // What depends on a condition is looked up only when it is reached.
            self.unknown.truncate(known);
            let line = self.line();
            self.next();
            let (test, no) = self.inside(Around::Condition, |parser| {
                let test = parser.or()?;
                Ok((test, if parser.skip_name("else") { Some(parser.expression()?) } else { None }))
            })?;
            let depth = deepest([&expr, &test].into_iter().chain(&no));
            let kind = ExprKind::Condition { test: test.into(), yes: expr.into(), no: no.map(Box::new) };
            expr = self.node(kind, line, depth)?;
        }
        Ok(expr)
    }

    /// An expression without a condition after it, as `if` and `for` take.
    pub fn or(&mut self) -> Result<Expr> {
        self.operands("or", Self::and, ExprKind::Or)
    }

    fn and(&mut self) -> Result<Expr> {
        self.operands("and", Self::not, ExprKind::And)
    }

    fn operands(
        &mut self,
        word: &str,
        operand: fn(&mut Self) -> Result<Expr>,
        kind: fn(Vec<Expr>) -> ExprKind,
    ) -> Result<Expr> {
        let line = self.line();
        let first = operand(self)?;
        if !self.is_name(word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.skip_name(word) {
            parts.push(operand(self)?);
        }
        let depth = deepest(&parts);
        self.node(kind(parts), line, depth)
    }

    fn not(&mut self) -> Result<Expr> {
        let line = self.line();
        if !self.skip_name("not") {
            return self.comparison();
        }
        let inner = self.deeper(Self::not)?;
        let depth = inner.depth;
        self.node(ExprKind::Not(inner.into()), line, depth)
    }

    fn comparison(&mut self) -> Result<Expr> {
        let line = self.line();
        let first = self.sum()?;
        let mut rest = Vec::new();
        while let Some(operator) = self.comparison_operator() {
            rest.push((operator, self.sum()?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let depth = deepest(rest.iter().map(|(_, part)| part).chain([&first]));
        self.node(ExprKind::Compare(first.into(), rest), line, depth)
    }

    fn comparison_operator(&mut self) -> Option<Comparison> {
        let operator = match self.kind() {
            Kind::Sign("==") => Comparison::Eq,
            Kind::Sign("!=") => Comparison::Ne,
            Kind::Sign("<") => Comparison::Lt,
            Kind::Sign("<=") => Comparison::Le,
            Kind::Sign(">") => Comparison::Gt,
            Kind::Sign(">=") => Comparison::Ge,
            Kind::Name(name) if &**name == "in" => Comparison::In,
            Kind::Name(name) if &**name == "not" && matches!(self.peek(), Kind::Name(name) if &**name == "in") => {
                self.next();
                Comparison::NotIn
            }
            _ => return None,
        };
        self.next();
        Some(operator)
    }

    fn sum(&mut self) -> Result<Expr> {
        self.chain(Self::concat, &[("+", Arithmetic::Add), ("-", Arithmetic::Sub)])
    }

    fn concat(&mut self) -> Result<Expr> {
        let line = self.line();
        let first = self.product()?;
        if !self.is_sign("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.skip_sign("~") {
            parts.push(self.product()?);
        }
        let depth = deepest(&parts);
        self.node(ExprKind::Concat(parts), line, depth)
    }

    fn product(&mut self) -> Result<Expr> {
        let operators =
            [("*", Arithmetic::Mul), ("/", Arithmetic::Div), ("//", Arithmetic::FloorDiv), ("%", Arithmetic::Mod)];
        self.chain(|parser| parser.chain(|parser| parser.unary(true), &[("**", Arithmetic::Pow)]), &operators)
    }

    fn chain(&mut self, operand: fn(&mut Self) -> Result<Expr>, operators: &[(&str, Arithmetic)]) -> Result<Expr> {
        let line = self.line();
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.is_sign(sign)) {
            self.next();
            rest.push((*operator, operand(self)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let depth = deepest(rest.iter().map(|(_, part)| part).chain([&first]));
        self.node(ExprKind::Chain(first.into(), rest), line, depth)
    }

    fn unary(&mut self, with_filters: bool) -> Result<Expr> {
        let line = self.line();
        let kind = if self.skip_sign("-") {
            Some(ExprKind::Negative as fn(Box<Expr>) -> ExprKind)
        } else if self.skip_sign("+") {
            Some(ExprKind::Positive as fn(Box<Expr>) -> ExprKind)
        } else {
            None
        };
        let mut expr = match kind {
            None => self.primary()?,
            Some(kind) => {
                let inner = self.deeper(|parser| parser.unary(false))?;
                let depth = inner.depth;
                self.node(kind(inner.into()), line, depth)?
            }
        };
        expr = self.postfix(expr)?;
        if with_filters { self.filters_and_tests(expr) } else { Ok(expr) }
    }

    fn primary(&mut self) -> Result<Expr> {
        let line = self.line();
        let constant = match self.kind() {
            Kind::Name(name) => {
                let name = Arc::clone(name);
                self.next();
                match &*name {
                    "true" | "True" => Constant::Bool(true),
                    "false" | "False" => Constant::Bool(false),
                    "none" | "None" => Constant::None,
                    "self" | "super" => {
                        return Err(Error::new(format!(
                            "the name '{name}' is refused: blocks do not refer to each other"
                        ))
                        .at(line));
                    }
                    _ => {
                        let symbol = self.symbol(&name);
                        return self.node(ExprKind::Name(symbol), line, 0);
                    }
                }
            }
            Kind::Text(_) => self.text(),
            Kind::Int(int) => {
                let int = int.clone();
                self.next();
                Constant::Int(int)
            }
            Kind::Float(float) => {
                let float = *float;
                self.next();
                Constant::Float(float)
            }
            Kind::Sign("(") => {
                self.next();
                let inner = self.deeper(|parser| parser.tuple(true, true, &[]))?;
                self.expect_sign(")")?;
                return Ok(inner);
            }
            Kind::Sign("[") => return self.list(),
            Kind::Sign("{") => return self.dict(),
            _ => return Err(self.unexpected("an expression")),
        };
        self.node(ExprKind::Constant(constant), line, 0)
    }

    /// String literals that follow one another are one text.
    fn text(&mut self) -> Constant {
        let mut joined = String::new();
        while let Kind::Text(text) = self.kind() {
            joined.push_str(text);
            self.next();
        }
        Constant::Text(joined.into())
    }

    fn list(&mut self) -> Result<Expr> {
        let line = self.line();
        self.next();
        let mut items = Vec::new();
        while !self.is_sign("]") {
            if !items.is_empty() {
                self.expect_sign(",")?;
            }
            if self.is_sign("]") {
                break;
            }
            items.push(self.expression()?);
        }
        self.expect_sign("]")?;
        let depth = deepest(&items);
        self.node(ExprKind::List(items), line, depth)
    }

    fn dict(&mut self) -> Result<Expr> {
        let line = self.line();
        self.next();
        let mut items = Vec::new();
        while !self.is_sign("}") {
            if !items.is_empty() {
                self.expect_sign(",")?;
            }
            if self.is_sign("}") {
                break;
            }
            let key = self.expression()?;
            self.expect_sign(":")?;
            items.push((key, self.expression()?));
        }
        self.expect_sign("}")?;
        let depth = deepest(items.iter().flat_map(|(key, value)| [key, value]));
        self.node(ExprKind::Dict(items), line, depth)
    }

    /// One expression, or a tuple of several. `in_parentheses` allows none at all; `ends` are words that end it.
    pub fn tuple(&mut self, with_condition: bool, in_parentheses: bool, ends: &[&str]) -> Result<Expr> {
        let line = self.line();
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            if !items.is_empty() {
                self.expect_sign(",")?;
            }
            let ended = matches!(self.kind(), Kind::PrintEnd | Kind::BlockEnd | Kind::Sign(")"));
            if ended || ends.iter().any(|end| self.is_name(end)) {
                break;
            }
            items.push(if with_condition { self.expression()? } else { self.or()? });
            if !self.is_sign(",") {
                break;
            }
            is_tuple = true;
        }
        if !is_tuple {
            match items.pop() {
                Some(item) => return Ok(item),
                None if !in_parentheses => return Err(self.unexpected("an expression")),
                None => {}
            }
        }
        let depth = deepest(&items);
        self.node(ExprKind::Tuple(items), line, depth)
    }

    pub fn postfix(&mut self, mut expr: Expr) -> Result<Expr> {
        loop {
            expr = match self.kind() {
                Kind::Sign("." | "[") => self.subscript(expr)?,
                Kind::Sign("(") => self.call(expr)?,
                _ => return Ok(expr),
            };
        }
    }

    fn subscript(&mut self, base: Expr) -> Result<Expr> {
        let line = self.line();
        if self.skip_sign(".") {
            let depth = base.depth;
            return match self.next() {
                Kind::Name(name) => self.node(ExprKind::Attribute(base.into(), name), line, depth),
                Kind::Int(int) => {
                    let index = self.node(ExprKind::Constant(Constant::Int(int)), line, 0)?;
                    self.node(ExprKind::Item(base.into(), index.into()), line, depth)
                }
                _ => Err(Error::new("expected a name or a number after '.'").at(line)),
            };
        }
        self.next();
        let mut items = Vec::new();
        while !self.is_sign("]") {
            if !items.is_empty() {
                self.expect_sign(",")?;
            }
            items.push(self.deeper(Self::index)?);
        }
        self.next();
        if items.len() == 1
            && let Some(index) = items.pop()
        {
            let (kind, depth) = match index {
                Index::One(index) => {
                    let depth = deepest([&index, &base]);
                    (ExprKind::Item(base.into(), index.into()), depth)
                }
                Index::Slice(bounds) => {
                    let depth = deepest(bounds.iter().flatten().chain([&base]));
                    (ExprKind::Slice(base.into(), bounds), depth)
                }
            };
            return self.node(kind, line, depth);
        }
        let several = || Error::new("several indices in one pair of brackets are not supported").at(line);
        let items = items.into_iter().map(|item| match item {
            Index::One(index) => Ok(index),
            Index::Slice(_) => Err(several()),
        });
        let items = items.collect::<Result<Vec<_>>>()?;
        let depth = deepest(&items);
        let index = self.node(ExprKind::Tuple(items), line, depth)?;
        let depth = deepest([&index, &base]);
        self.node(ExprKind::Item(base.into(), index.into()), line, depth)
    }

    /// What stands in brackets: an expression, or a slice.
    fn index(&mut self) -> Result<Index> {
        let mut bounds = [None, None, None];
        if !self.is_sign(":") {
            let first = self.condition()?;
            if !self.is_sign(":") {
                return Ok(Index::One(first));
            }
            bounds[0] = Some(first);
        }
        for bound in &mut bounds[1..] {
            if !self.skip_sign(":") {
                break;
            }
            if !self.is_sign(":") && !self.is_sign("]") && !self.is_sign(",") {
                *bound = Some(self.condition()?);
            }
        }
        Ok(Index::Slice(bounds.into()))
    }

    fn call(&mut self, callee: Expr) -> Result<Expr> {
        let line = self.line();
        let arguments = self.arguments()?;
        let depth = callee.depth.max(arguments.depth());
        self.node(ExprKind::Call(callee.into(), arguments), line, depth)
    }

    fn arguments(&mut self) -> Result<Arguments> {
        self.expect_sign("(")?;
        let mut arguments = Arguments::default();
        let mut first = true;
        while !self.is_sign(")") {
            if !first {
                self.expect_sign(",")?;
                if self.is_sign(")") {
                    break;
                }
            }
            first = false;
            self.argument(&mut arguments)?;
        }
        self.expect_sign(")")?;
        Ok(arguments)
    }

    fn argument(&mut self, arguments: &mut Arguments) -> Result<()> {
        let misplaced = self.unexpected("arguments in the order: values, names, *list, **dict");
        let no_stars = arguments.star.is_none() && arguments.double_star.is_none();
        if self.skip_sign("*") {
            arguments.star = Some(self.expression()?.into());
            return if no_stars { Ok(()) } else { Err(misplaced) };
        }
        if self.skip_sign("**") {
            let again = arguments.double_star.is_some();
            arguments.double_star = Some(self.expression()?.into());
            return if again { Err(misplaced) } else { Ok(()) };
        }
        if let (Kind::Name(name), Kind::Sign("=")) = (self.kind(), self.peek()) {
            let name = Arc::clone(name);
            self.next();
            self.next();
            if arguments.double_star.is_some() || arguments.named.iter().any(|(known, _)| *known == name) {
                return Err(misplaced);
            }
            arguments.named.push((name, self.expression()?));
            return Ok(());
        }
        arguments.positional.push(self.expression()?);
        if no_stars && arguments.named.is_empty() { Ok(()) } else { Err(misplaced) }
    }

    fn filters_and_tests(&mut self, mut expr: Expr) -> Result<Expr> {
        loop {
            let line = self.line();
            expr = if self.skip_sign("|") {
                let call = self.filter_call()?;
                let depth = expr.depth.max(call.arguments.depth());
                self.node(ExprKind::Filter(expr.into(), call), line, depth)?
            } else if self.skip_name("is") {
                self.test(expr)?
            } else if self.is_sign("(") {
                self.call(expr)?
            } else {
                return Ok(expr);
            };
        }
    }

    /// Filters of a block or a `set` block: names with arguments between bars.
    pub fn filter_chain(&mut self) -> Result<Vec<FilterCall>> {
        let mut filters = vec![self.filter_call()?];
        while self.skip_sign("|") {
            filters.push(self.filter_call()?);
        }
        Ok(filters)
    }

    fn filter_call(&mut self) -> Result<FilterCall> {
        let line = self.line();
        let name = self.dotted_name()?;
        if !(self.known.filter)(&name) && self.conditions == 0 {
            self.unknown.push(Error::new(format!("there is no filter {name:?}")).at(line));
        }
        let arguments = if self.is_sign("(") { self.arguments()? } else { Arguments::default() };
        Ok(FilterCall { name, arguments, line })
    }

    fn dotted_name(&mut self) -> Result<Arc<str>> {
        let mut name = self.expect_name()?;
        while self.skip_sign(".") {
            name = format!("{name}.{}", self.expect_name()?).into();
        }
        Ok(name)
    }

    fn test(&mut self, value: Expr) -> Result<Expr> {
        let line = self.line();
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        if !(self.known.test)(&name) && self.conditions == 0 {
            self.unknown.push(Error::new(format!("there is no test {name:?}")).at(line));
        }
        let takes_one = match self.kind() {
            Kind::Name(word) => !matches!(&**word, "else" | "or" | "and"),
            Kind::Text(_) | Kind::Int(_) | Kind::Float(_) | Kind::Sign("[" | "{") => true,
            _ => false,
        };
        let mut arguments = Arguments::default();
        if self.is_sign("(") {
            arguments = self.arguments()?;
        } else if self.is_name("is") {
            return Err(Error::new("tests cannot be chained with 'is'").at(line));
        } else if takes_one {
            let argument = self.primary()?;
            arguments.positional.push(self.postfix(argument)?);
        }
        let depth = value.depth.max(arguments.depth());
        self.node(ExprKind::Test { value: value.into(), name, arguments, negated }, line, depth)
    }
}

enum Index {
    One(Expr),
    Slice(Box<[Option<Expr>; 3]>),
}

impl Arguments {
    fn depth(&self) -> u32 {
        let named = self.named.iter().map(|(_, value)| value);
        let stars = self.star.iter().chain(&self.double_star).map(AsRef::as_ref);
        deepest(self.positional.iter().chain(named).chain(stars))
    }
}
