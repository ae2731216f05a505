//! Statements: text, prints and tags.

use std::sync::Arc;

use super::super::error::{Error, Result};
use super::ast::{Body, ExprKind, For, Macro, Statement, Symbol, Target};
use super::parser::{Around, Parser};
use super::token::Kind;

impl Parser {
    /// Statements up to a tag of one of these names, which is not taken; without names up to the template's end.
    pub fn body(&mut self, ends: &[&str]) -> Result<Body> {
        let mut body = Vec::new();
        loop {
            match self.kind() {
                Kind::Data(_) => {
                    if let Kind::Data(text) = self.next() {
                        body.push(Statement::Text(text));
                    }
                }
                Kind::PrintBegin => {
                    self.next();
                    body.push(Statement::Print(self.tuple(true, false, &[])?));
                    self.expect(&Kind::PrintEnd)?;
                }
                Kind::BlockBegin => {
                    self.next();
                    if ends.iter().any(|end| self.is_name(end)) {
                        return Ok(body);
                    }
                    body.push(self.deeper(Self::tag)?);
                    self.expect(&Kind::BlockEnd)?;
                }
                Kind::End if ends.is_empty() => return Ok(body),
                _ => return Err(self.unexpected(&format!("a tag {}", ends.join(" or ")))),
            }
        }
    }

    /// The end of the opening tag, the statements after it, and the name of the tag that ends them.
    fn block(&mut self, ends: &[&str]) -> Result<Body> {
        self.expect(&Kind::BlockEnd)?;
        self.body(ends)
    }

    /// A block whose one end is `end`.
    fn whole_block(&mut self, end: &str) -> Result<Body> {
        let body = self.block(&[end])?;
        self.next();
        Ok(body)
    }

    fn tag(&mut self) -> Result<Statement> {
        let line = self.line();
        let name = self.expect_name()?;
        match &*name {
            "for" => self.for_loop(),
            "if" => self.condition_block(),
            "set" => self.set(line),
            "with" => self.with(),
            "macro" => self.macro_block(),
            "call" => self.call_block(),
            "filter" => {
                let filters = self.filter_chain()?;
                Ok(Statement::FilterBlock { filters, body: self.whole_block("endfilter")? })
            }
            "block" => self.named_block(),
            "print" => Ok(Statement::Print(self.tuple(true, false, &[])?)),
            "break" | "continue" if self.loops == 0 => {
                Err(Error::new(format!("'{name}' stands outside a loop")).at(line))
            }
            "break" => Ok(Statement::Break),
            "continue" => Ok(Statement::Continue),
            "include" | "import" | "from" | "extends" => {
                Err(Error::new(format!("the tag '{name}' is refused: a chat template has no other templates")).at(line))
            }
            "autoescape" => Err(Error::new("the tag 'autoescape' is not supported").at(line)),
            _ => Err(Error::new(format!("there is no tag '{name}'")).at(line)),
        }
    }

    fn for_loop(&mut self) -> Result<Statement> {
        let target = self.targets(false)?;
        if !self.skip_name("in") {
            return Err(self.unexpected("'in'"));
        }
        let items = self.tuple(false, false, &["recursive"])?;
        let condition = if self.skip_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_name("recursive");
        let loop_symbol = self.symbol(&"loop".into());
        if target.sets(loop_symbol) {
            return Err(Error::new("'loop' cannot be the variable of a loop").at(self.line()));
        }
        let body = self.inside(Around::Loop, |parser| parser.block(&["endfor", "else"]))?;
        let otherwise = if self.skip_name("else") { self.block(&["endfor"])? } else { Vec::new() };
        self.next();
        Ok(Statement::For(Arc::new(For { target, items, condition, recursive, body, otherwise, loop_symbol })))
    }

    fn condition_block(&mut self) -> Result<Statement> {
        self.inside(Around::Condition, Self::branches)
    }

    fn branches(&mut self) -> Result<Statement> {
        let mut branches = Vec::new();
        loop {
            let test = self.tuple(false, false, &[])?;
            branches.push((test, self.block(&["elif", "else", "endif"])?));
            if !self.skip_name("elif") {
                break;
            }
        }
        let otherwise = if self.skip_name("else") { self.block(&["endif"])? } else { Vec::new() };
        self.next();
        Ok(Statement::If { branches, otherwise })
    }

    fn set(&mut self, line: u32) -> Result<Statement> {
        let target = self.targets(true)?;
        if self.skip_sign("=") {
            return Ok(Statement::Set(target, self.tuple(true, false, &[])?, line));
        }
        let filters = if self.skip_sign("|") { self.filter_chain()? } else { Vec::new() };
        Ok(Statement::SetBlock { target, filters, body: self.whole_block("endset")?, line })
    }

    fn with(&mut self) -> Result<Statement> {
        let mut bindings = Vec::new();
        while *self.kind() != Kind::BlockEnd {
            if !bindings.is_empty() {
                self.expect_sign(",")?;
            }
            let name = self.expect_name()?;
            let target = self.target_name(&name)?;
            self.expect_sign("=")?;
            bindings.push((target, self.expression()?));
        }
        Ok(Statement::With { bindings, body: self.whole_block("endwith")? })
    }

    fn named_block(&mut self) -> Result<Statement> {
        let name = self.expect_name()?;
        while self.skip_name("scoped") || self.skip_name("required") {}
        let body = self.block(&["endblock"])?;
        self.next();
        self.skip_name(&name);
        Ok(Statement::Block(body))
    }

    fn macro_block(&mut self) -> Result<Statement> {
        let name = self.expect_name()?;
        let symbol = self.symbol(&name);
        let definition = self.macro_definition(Some(name), "endmacro")?;
        Ok(Statement::Macro(symbol, Arc::new(definition)))
    }

    fn call_block(&mut self) -> Result<Statement> {
        let line = self.line();
        let mut parameters = (Vec::new(), Vec::new());
        if self.is_sign("(") {
            parameters = self.parameters()?;
        }
        let call = self.expression()?;
        if !matches!(call.kind, ExprKind::Call(..)) {
            return Err(Error::new("expected a call in the tag 'call'").at(line));
        }
        let caller = self.macro_body(Some("caller".into()), parameters, "endcall")?;
        Ok(Statement::CallBlock { call, caller: Arc::new(caller) })
    }

    fn macro_definition(&mut self, name: Option<Arc<str>>, end: &str) -> Result<Macro> {
        let parameters = self.parameters()?;
        self.macro_body(name, parameters, end)
    }

    fn macro_body(&mut self, name: Option<Arc<str>>, (parameters, defaults): Parameters, end: &str) -> Result<Macro> {
        self.specials.push([false; 3]);
        let loops = std::mem::take(&mut self.loops);
        let body = self.whole_block(end);
        self.loops = loops;
        let [varargs, kwargs, caller] = self.specials.pop().unwrap_or_default();
        let parameters: Vec<_> = parameters.into_iter().map(|name| (self.symbol(&name), name)).collect();
        let mut special = |used: bool, name: &str| {
            let asked = used && !parameters.iter().any(|(_, parameter)| **parameter == *name);
            asked.then(|| self.symbol(&name.into()))
        };
        let (varargs, kwargs, caller) =
            (special(varargs, "varargs"), special(kwargs, "kwargs"), special(caller, "caller"));
        Ok(Macro { name, parameters, defaults, body: body?, varargs, kwargs, caller })
    }

    fn parameters(&mut self) -> Result<Parameters> {
        let (mut names, mut defaults) = (Vec::new(), Vec::new());
        self.expect_sign("(")?;
        while !self.is_sign(")") {
            if !names.is_empty() {
                self.expect_sign(",")?;
            }
            let name = self.expect_name()?;
            self.target_name(&name)?;
            names.push(name);
            if self.skip_sign("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return Err(self.unexpected("a default, as the parameter before has one"));
            }
        }
        self.expect_sign(")")?;
        Ok((names, defaults))
    }

    /// What is assigned to: a name, `name.field` where `with_fields`, or several with commas between them.
    fn targets(&mut self, with_fields: bool) -> Result<Target> {
        let first = self.target(with_fields)?;
        if !self.is_sign(",") {
            return Ok(first);
        }
        let mut targets = vec![first];
        while self.skip_sign(",") {
            if matches!(self.kind(), Kind::Sign("=" | ")")) || self.is_name("in") {
                break;
            }
            targets.push(self.target(with_fields)?);
        }
        Ok(Target::Tuple(targets))
    }

    fn target(&mut self, with_fields: bool) -> Result<Target> {
        if self.skip_sign("(") {
            let inner = self.deeper(|parser| parser.targets(with_fields))?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        let name = self.expect_name()?;
        if with_fields && self.skip_sign(".") {
            let symbol = self.symbol(&name);
            return Ok(Target::Field(symbol, self.expect_name()?));
        }
        self.target_name(&name)
    }

    fn target_name(&mut self, name: &Arc<str>) -> Result<Target> {
        if matches!(&**name, "true" | "false" | "none" | "True" | "False" | "None") {
            return Err(Error::new(format!("'{name}' cannot be assigned to")).at(self.line()));
        }
        Ok(Target::Name(self.symbol(name)))
    }
}

impl Target {
    fn sets(&self, symbol: Symbol) -> bool {
        match self {
            Self::Name(name) | Self::Field(name, _) => *name == symbol,
            Self::Tuple(targets) => targets.iter().any(|target| target.sets(symbol)),
        }
    }
}

/// Names of parameters, and defaults of the last of them.
type Parameters = (Vec<Arc<str>>, Vec<super::ast::Expr>);
