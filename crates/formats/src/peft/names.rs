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
/// What PEFT puts between the path of a module of which some rows are trained and what it keeps of it.
pub(super) const TOKEN_ADAPTER: &str = ".token_adapter";
/// What PEFT appends to the path of such a module for those rows, whole and not as differences.
pub(super) const TOKEN_ROWS_SUFFIX: &str = ".token_adapter.trainable_tokens_delta";

/// What a pair of factors is on: PEFT names them, and lays them out, by the kind of module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorKind {
    /// A linear layer: A \[r, in\] and B \[out, r\] change its weight \[out, in\] by B·A.
    Linear,
    /// The token embedding: A \[r, vocabulary\] and B \[d, r\] change its table \[vocabulary, d\] by (B·A)ᵀ.
    Embedding,
    /// One matrix \[out, in\] of every expert: A \[experts · r, in\] has the rows of an expert together, B \[out, r · experts\] a column
    /// of every expert in turn.
    Experts,
}

impl FactorKind {
    /// Every kind whose names differ.
    pub(super) const ALL: [Self; 2] = [Self::Linear, Self::Embedding];

    /// What PEFT appends to a module's path for A and B.
    pub(super) fn suffixes(self) -> [&'static str; 2] {
        match self {
            Self::Linear | Self::Experts => [".lora_A.weight", ".lora_B.weight"],
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

/// Name of the trained rows of an embedding or a head in an adapter file.
pub fn token_rows_name(module: &str) -> String {
    format!("{PREFIX}{module}{TOKEN_ROWS_SUFFIX}")
}

/// Name of the table under those rows, which is saved where it is larger than the model's.
pub fn token_table_name(module: &str) -> String {
    format!("{PREFIX}{module}{TOKEN_ADAPTER}.base_layer.weight")
}

/// Name in an adapter file of a layer's own bias where that is trained.
pub fn bias_name(module: &str, adapted: bool) -> String {
    format!("{PREFIX}{module}{}", if adapted { BASE_BIAS_SUFFIX } else { BIAS_SUFFIX })
}

/// Name in an adapter file of a tensor of a module that is saved whole. `tensor` is its name in the base model.
pub fn saved_name(tensor: &str) -> String {
    format!("{PREFIX}{tensor}")
}

/// Whether `name` is `ending`, or ends in it after a dot.
pub(crate) fn ends_with(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
