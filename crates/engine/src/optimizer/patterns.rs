//! Groups by regular expression: which tensors one finds by their names.

use fancy_regex::Regex;
use tunesmith_ops::{Error, Result};

use super::parameter_group::ParameterGroup;
use super::parameters::ParameterSpec;

/// The regular expressions of a run's groups; none for a group that is found by kind.
pub(super) struct Patterns(Vec<Option<Regex>>);

impl Patterns {
    /// # Errors
    /// `ArgumentInvalid` for a text that is no regular expression.
    pub(super) fn new(list: &[ParameterGroup]) -> Result<Self> {
        let compiled = |group: &ParameterGroup| {
            let Some(text) = &group.pattern else { return Ok(None) };
            let refused = |error| {
                let got = format!("{text:?}: {error}; correct it");
                Error::argument(&place(group), "a regular expression", got)
            };
            Regex::new(text).map(Some).map_err(refused)
        };
        Ok(Self(list.iter().map(compiled).collect::<Result<_>>()?))
    }

    /// The first group whose expression finds something in a tensor's name, and which takes its kind.
    pub(super) fn find(&self, list: &[ParameterGroup], spec: &ParameterSpec) -> Result<Option<usize>> {
        for (index, (group, pattern)) in list.iter().zip(&self.0).enumerate() {
            let Some(pattern) = pattern else { continue };
            if group.parameters.contains(&spec.kind) && finds(group, pattern, &spec.name)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// # Errors
    /// `ArgumentInvalid` for an expression that finds no trained tensor, whatever its kind.
    pub(super) fn refuse_idle(&self, list: &[ParameterGroup], specs: &[ParameterSpec]) -> Result<()> {
        for (group, pattern) in list.iter().zip(&self.0) {
            let Some(pattern) = pattern else { continue };
            let mut found = false;
            for spec in specs {
                found = found || finds(group, pattern, &spec.name)?;
            }
            if !found {
                let names = specs.first().map_or("no tensor is trained".to_owned(), |spec| format!("{:?}", spec.name));
                let got = format!("{:?}, which finds none; names are such as {names}", pattern.as_str());
                return Err(Error::argument(&place(group), "an expression that finds a trained tensor", got));
            }
        }
        Ok(())
    }
}

fn finds(group: &ParameterGroup, pattern: &Regex, name: &str) -> Result<bool> {
    pattern.is_match(name).map_err(|error| {
        let got = format!("{:?} on {name:?}: {error}", pattern.as_str());
        Error::argument(&place(group), "an expression that comes to an end", got)
    })
}

fn place(group: &ParameterGroup) -> String {
    format!("parameterGroups {:?}", group.name)
}
