//! Parameter groups: which trained tensors learn at one rate and decay alike.

use serde::Deserialize;
use tunesmith_ops::{Error, Memory, Result};

use super::parameters::{ParameterKind, ParameterSpec, Parameters};

/// A group of a run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParameterGroup {
    /// Name in events and checkpoints.
    pub name: String,
    /// The kinds of trained tensors that belong to it.
    pub parameters: Vec<ParameterKind>,
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
            rate,
            decay: if kind == ParameterKind::NoDecay { 0.0 } else { decay },
        };
        ParameterKind::ALL.map(group).to_vec()
    }
}

/// A group as the engine has resolved it.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// Trainable parameters in it.
    pub parameters: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f64,
}

/// The groups of a run, and the one that each kind of tensor belongs to.
#[derive(Debug, Clone)]
pub struct Groups {
    list: Vec<ParameterGroup>,
    of_kind: [Option<usize>; ParameterKind::ALL.len()],
}

impl Groups {
    /// Resolves every trained tensor into exactly one group.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a kind in two groups, two groups of one name, a trained tensor in none, and for rates or decays that
    /// are no numbers from 0.
    pub fn new<B: Memory>(list: &[ParameterGroup], parameters: &Parameters<B>) -> Result<Self> {
        let mut of_kind = [None; ParameterKind::ALL.len()];
        for (index, group) in list.iter().enumerate() {
            let place = format!("parameterGroups[{index}]");
            let number = |name: &str, value: f64| {
                let is_valid = value.is_finite() && value >= 0.0;
                if is_valid {
                    Ok(())
                } else {
                    Err(Error::argument(&format!("{place}.{name}"), "a number from 0", value))
                }
            };
            number("rate", group.rate)?;
            number("decay", group.decay)?;
            if list[..index].iter().any(|before| before.name == group.name) {
                return Err(Error::argument(
                    &format!("{place}.name"),
                    "a name of its own",
                    format!("{:?}", group.name),
                ));
            }
            for kind in &group.parameters {
                if let Some(before) = of_kind[*kind as usize].replace(index) {
                    let got = format!("{:?} in {:?} and in {:?}", kind.name(), list[before].name, group.name);
                    return Err(Error::argument(&format!("{place}.parameters"), "each kind in one group", got));
                }
            }
        }
        match parameters.specs().iter().find(|spec| of_kind[spec.kind as usize].is_none()) {
            None => Ok(Self { list: list.to_vec(), of_kind }),
            Some(ParameterSpec { name, kind, .. }) => {
                let got = format!("none for {name}; add {:?} to one of them", kind.name());
                Err(Error::argument("parameterGroups", "a group for every trained tensor", got))
            }
        }
    }

    /// Number of groups: an update takes as many learning rates.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Index of the group of a trained tensor, and its weight decay.
    pub(super) fn of(&self, spec: &ParameterSpec) -> Option<(usize, f64)> {
        self.of_kind[spec.kind as usize].map(|index| (index, self.list[index].decay))
    }

    /// What the groups hold, in their order.
    pub fn info<B: Memory>(&self, parameters: &Parameters<B>) -> Vec<GroupInfo> {
        let info = |(index, group): (usize, &ParameterGroup)| GroupInfo {
            name: group.name.clone(),
            parameters: parameters
                .specs()
                .iter()
                .filter(|spec| self.of_kind[spec.kind as usize] == Some(index))
                .map(ParameterSpec::len)
                .sum(),
            rate: group.rate,
            decay: group.decay,
        };
        self.list.iter().enumerate().map(info).collect()
    }
}
