//! What forward keeps for backward: a policy, chosen once per session.

/// Activations kept between forward and backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavePolicy {
    /// Everything: the fastest.
    All,
    /// Only each layer's input; the rest is computed again (gradient checkpointing, Chen et al. 2016, arXiv:1604.06174).
    Inputs,
    /// Nothing: evaluation and generation.
    Nothing,
}

impl SavePolicy {
    /// What a session keeps that trains or not, and computes layers again or not.
    pub fn of(trains: bool, gradient_checkpointing: bool) -> Self {
        match (trains, gradient_checkpointing) {
            (false, _) => Self::Nothing,
            (true, true) => Self::Inputs,
            (true, false) => Self::All,
        }
    }

    /// Number of buffers for layer inputs, the hidden states included.
    pub fn inputs(self, layers: usize) -> usize {
        match self {
            Self::All | Self::Inputs => layers + 1,
            Self::Nothing => 2,
        }
    }

    /// Number of sets of saved activations.
    pub fn saved(self, layers: usize) -> usize {
        match self {
            Self::All => layers,
            Self::Inputs | Self::Nothing => 1,
        }
    }

    /// WorkspaceBuffer of a layer's input; `layer` = number of layers gives the hidden states.
    pub fn input_of(self, layer: usize) -> usize {
        match self {
            Self::All | Self::Inputs => layer,
            Self::Nothing => layer % 2,
        }
    }

    /// Set of saved activations a layer uses.
    pub fn saved_of(self, layer: usize) -> usize {
        match self {
            Self::All => layer,
            Self::Inputs | Self::Nothing => 0,
        }
    }
}
