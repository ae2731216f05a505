//! A parameter group as options describe it.

use serde::Deserialize;

use super::parameters::ParameterKind;

/// A group of a run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParameterGroup {
    /// Name in events and checkpoints.
    pub name: String,
    /// The kinds of trained tensors that belong to it.
    pub parameters: Vec<ParameterKind>,
    /// Of these kinds only tensors in whose name this regular expression finds something; such a group comes before all others, and of
    /// several the first one wins. None: all that are left.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Peak learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f64,
}

impl ParameterGroup {
    /// Each kind as a group of its own, by its name: norms and biases without decay (Hugging Face Trainer's rule).
    pub fn of_each_kind(rate: f64, decay: f64) -> Vec<Self> {
        let group = |kind: ParameterKind| Self {
            name: kind.name().to_owned(),
            parameters: vec![kind],
            pattern: None,
            rate,
            decay: if kind == ParameterKind::NoDecay { 0.0 } else { decay },
        };
        ParameterKind::ALL.map(group).to_vec()
    }
}
