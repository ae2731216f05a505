//! Parameter groups: which trained tensors learn at one rate and decay alike.

use tunesmith_ops::{Error, Memory, Result};

use super::parameter_group::ParameterGroup;
use super::parameters::{ParameterKind, ParameterSpec, Parameters};
use super::patterns::Patterns;

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

/// The groups of a run, and the one that each trained tensor belongs to.
#[derive(Debug, Clone)]
pub struct Groups {
    list: Vec<ParameterGroup>,
    /// By the tensor's number.
    of: Vec<usize>,
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
            for kind in group.parameters.iter().filter(|_| group.pattern.is_none()) {
                if let Some(before) = of_kind[*kind as usize].replace(index) {
                    let got = format!("{:?} in {:?} and in {:?}", kind.name(), list[before].name, group.name);
                    return Err(Error::argument(&format!("{place}.parameters"), "each kind in one group", got));
                }
            }
        }
        let patterns = Patterns::new(list)?;
        let group_of = |spec: &ParameterSpec| {
            let found = patterns.find(list, spec)?.or(of_kind[spec.kind as usize]);
            found.ok_or_else(|| {
                let got = format!("none for {}; add {:?} to one of them", spec.name, spec.kind.name());
                Error::argument("parameterGroups", "a group for every trained tensor", got)
            })
        };
        let of = parameters.specs().iter().map(group_of).collect::<Result<Vec<_>>>()?;
        patterns.refuse_idle(list, parameters.specs())?;
        Ok(Self { list: list.to_vec(), of })
    }

    /// Number of groups: an update takes as many learning rates.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Index of the group of a trained tensor by its number, and its weight decay.
    pub(super) fn of(&self, number: usize) -> Option<(usize, f64)> {
        self.of.get(number).map(|&index| (index, self.list[index].decay))
    }

    /// What the groups hold, in their order.
    pub fn info<B: Memory>(&self, parameters: &Parameters<B>) -> Vec<GroupInfo> {
        let info = |(index, group): (usize, &ParameterGroup)| GroupInfo {
            name: group.name.clone(),
            parameters: parameters
                .specs()
                .iter()
                .zip(&self.of)
                .filter(|(_, group)| **group == index)
                .map(|(spec, _)| spec.len())
                .sum(),
            rate: group.rate,
            decay: group.decay,
        };
        self.list.iter().enumerate().map(info).collect()
    }
}
