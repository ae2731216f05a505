//! From a template's source to its tree: pieces of text and tokens, then statements and expressions.

pub(crate) mod ast;
mod escapes;
mod expressions;
mod lexer;
mod parser;
mod statements;
mod token;

pub(crate) use ast::Known;
pub(crate) use parser::parse;
