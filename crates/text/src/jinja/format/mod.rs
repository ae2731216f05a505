//! Python's two ways to format: `str.format` and `%`.

pub(crate) mod braces;
pub(crate) mod floats;
pub(crate) mod percent;
mod spec;
