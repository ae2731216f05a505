//! Two texts, and how alike they are.

/// Two texts that are nearly the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Place of the earlier text.
    pub first: u32,
    /// Place of the later one.
    pub second: u32,
    /// Jaccard similarity of their shingles.
    pub similarity: f64,
}
