//! The parts of a tensor's name in an adapter's file.

/// What PEFT puts before a module's path.
pub(super) const PREFIX: &str = "base_model.model.";
/// What PEFT appends to it for the lengths of the rows of a DoRA.
pub(super) const MAGNITUDE_SUFFIX: &str = ".lora_magnitude_vector";

/// What PEFT appends to it for the bias of B.
pub(super) const B_BIAS_SUFFIX: &str = ".lora_B.bias";
/// What PEFT puts between the path of an adapted layer and the name of its own bias.
pub(super) const BASE_BIAS_SUFFIX: &str = ".base_layer.bias";
pub(super) const BIAS_SUFFIX: &str = ".bias";

/// What a pair of factors is on: PEFT names them, and lays them out, by the kind of module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorKind {
    /// A linear layer: A \[r, in\] and B \[out, r\] change its weight \[out, in\] by B·A.
    Linear,
    /// The token embedding: A \[r, vocabulary\] and B \[d, r\] change its table \[vocabulary, d\] by (B·A)ᵀ.
    Embedding,
}

impl FactorKind {
    /// Every kind.
    pub(super) const ALL: [Self; 2] = [Self::Linear, Self::Embedding];

    /// What PEFT appends to a module's path for A and B.
    pub(super) fn suffixes(self) -> [&'static str; 2] {
        match self {
            Self::Linear => [".lora_A.weight", ".lora_B.weight"],
            Self::Embedding => [".lora_embedding_A", ".lora_embedding_B"],
        }
    }

    /// Name of A in an adapter file.
    pub fn a_name(self, module: &str) -> String {
        format!("{PREFIX}{module}{}", self.suffixes()[0])
    }

    /// Name of B in an adapter file.
    pub fn b_name(self, module: &str) -> String {
        format!("{PREFIX}{module}{}", self.suffixes()[1])
    }
}

/// Name of a DoRA's row lengths in an adapter file.
pub fn magnitude_name(module: &str) -> String {
    format!("{PREFIX}{module}{MAGNITUDE_SUFFIX}")
}

/// Name of the bias of B in an adapter file.
pub fn b_bias_name(module: &str) -> String {
    format!("{PREFIX}{module}{B_BIAS_SUFFIX}")
}

/// Name in an adapter file of a layer's own bias where that is trained.
pub fn bias_name(module: &str, adapted: bool) -> String {
    format!("{PREFIX}{module}{}", if adapted { BASE_BIAS_SUFFIX } else { BIAS_SUFFIX })
}

/// Name in an adapter file of a tensor of a module that is saved whole. `tensor` is its name in the base model.
pub fn saved_name(tensor: &str) -> String {
    format!("{PREFIX}{tensor}")
}
