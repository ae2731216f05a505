//! What is asked of a module before it is adapted.

/// A module as a choice of targets sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Name in the checkpoint.
    pub name: String,
    /// A linear layer; the head is one.
    pub linear: bool,
    /// The output head.
    pub head: bool,
}
