//! What is asked of a module before it is adapted.

use tunesmith_ops::Backend;

use super::modules::Module;
use crate::families::names;

/// What a module is to a choice of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateKind {
    /// A linear layer inside: what `all-linear` means.
    Linear,
    /// The output head, a linear layer that is adapted by its name alone.
    Head,
    /// The token embedding, likewise.
    Embedding,
    /// Takes no factors.
    Norm,
    /// Takes factors by the names of its parameters.
    Experts,
}

/// A module as a choice of targets sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Name in the checkpoint.
    pub name: String,
    /// What it is.
    pub kind: CandidateKind,
}

impl Candidate {
    /// What a choice of targets sees of a module.
    pub fn of<B: Backend>(module: &Module<'_, B>) -> Self {
        let name = module.name().to_owned();
        let kind = match module {
            Module::Linear(_) if name == names::HEAD => CandidateKind::Head,
            Module::Linear(_) => CandidateKind::Linear,
            Module::Embedding(_) => CandidateKind::Embedding,
            Module::Norm(_) => CandidateKind::Norm,
            Module::Experts(_) => CandidateKind::Experts,
        };
        Self { name, kind }
    }

    /// Whether `all-linear` means it.
    pub fn is_inner_linear(&self) -> bool {
        self.kind == CandidateKind::Linear
    }

    /// Whether there are factors for it.
    pub fn is_adaptable(&self) -> bool {
        !matches!(self.kind, CandidateKind::Norm | CandidateKind::Experts)
    }
}
