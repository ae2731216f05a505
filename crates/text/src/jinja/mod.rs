//! Jinja as transformers renders chat templates: jinja2's language with Python's values, in its immutable sandbox, with
//! `trim_blocks`, `lstrip_blocks`, loop controls, transformers' `tojson`, `raise_exception` and `strftime_now`.
//!
//! A template and its rows are untrusted: every step and every byte is paid from a [`Budget`] before it is taken.

mod arguments;
mod budget;
#[cfg(test)]
mod comparison;
mod error;
mod escape;
mod filters;
mod format;
mod globals;
mod letters;
mod methods;
mod run;
mod syntax;
mod tests;
mod value;

pub(crate) use budget::Budget;
pub(crate) use error::{Error, Result};
pub(crate) use filters::json_text;
pub(crate) use run::{Observer, Run};
pub(crate) use syntax::ast::Tree;
pub(crate) use value::{Value, read_json};

/// Parses a template.
///
/// # Errors
/// What jinja2 refuses as well, and templates beyond the limits of size and depth.
pub(crate) fn parse(source: &str) -> Result<Tree> {
    let known =
        syntax::Known { filter: |name| filters::find(name).is_some(), test: |name| tests::find(name).is_some() };
    syntax::parse(source, known)
}
