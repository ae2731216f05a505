//! Jinja as transformers renders chat templates: jinja2's language with Python's values, in its immutable sandbox, with
//! `trim_blocks`, `lstrip_blocks`, loop controls, transformers' `tojson`, `raise_exception` and `strftime_now`.
//!
//! A template and its rows are untrusted: every step and every byte is paid from a [`Budget`] before it is taken.

mod arguments;
mod budget;
#[cfg(test)]
mod comparison;
mod error;
mod filters;
mod format;
mod globals;
mod methods;
mod run;
mod syntax;
mod tests;
mod value;

pub(crate) use budget::Budget;
pub(crate) use error::{Error, Result};
pub(crate) use run::{Observer, Run};
pub(crate) use syntax::ast::Tree;
pub(crate) use syntax::parse;
pub(crate) use value::{Value, read_json};
