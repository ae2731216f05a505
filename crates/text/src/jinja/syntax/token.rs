//! Tokens of a template.

use std::sync::Arc;

use num_bigint::BigInt;

/// A token and the line it begins in.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// What it is.
    pub kind: Kind,
    /// Line of the template, from 1.
    pub line: u32,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Text outside tags.
    Data(String),
    /// `{{`
    PrintBegin,
    /// `}}`
    PrintEnd,
    /// `{%`
    BlockBegin,
    /// `%}`
    BlockEnd,
    /// A word.
    Name(Arc<str>),
    /// A string literal, its escapes resolved.
    Text(Arc<str>),
    /// An integer literal.
    Int(BigInt),
    /// A float literal.
    Float(f64),
    /// An operator or bracket.
    Sign(&'static str),
    /// The end of the template.
    End,
}

impl Kind {
    /// How an error names it.
    pub fn describe(&self) -> String {
        match self {
            Self::Data(_) => "text".to_owned(),
            Self::PrintBegin => "'{{'".to_owned(),
            Self::PrintEnd => "'}}'".to_owned(),
            Self::BlockBegin => "'{%'".to_owned(),
            Self::BlockEnd => "'%}'".to_owned(),
            Self::Name(name) => format!("'{name}'"),
            Self::Text(_) => "a string".to_owned(),
            Self::Int(_) | Self::Float(_) => "a number".to_owned(),
            Self::Sign(sign) => format!("'{sign}'"),
            Self::End => "the end of the template".to_owned(),
        }
    }
}
