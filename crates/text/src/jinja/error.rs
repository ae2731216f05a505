//! Why a template does not parse, or refuses what it is given.

/// What this module's functions return.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A refusal, and the template's line where it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    /// What was expected or raised, in the words of Python where it has some.
    pub reason: String,
    /// Line of the template, from 1.
    pub line: Option<u32>,
}

impl Error {
    /// A refusal whose place is not known yet.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), line: None }
    }

    /// The same with a line, unless it has one already.
    pub fn at(mut self, line: u32) -> Self {
        self.line.get_or_insert(line);
        self
    }
}

/// Shorthand for a refusal.
pub(crate) fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::new(reason))
}
