//! Reads the rotation from both spellings: `rope_parameters` (transformers 5) and `rope_theta` with `rope_scaling` (4.x).

use serde_json::{Map, Value};
use tunesmith_ops::{Code, Result};

use super::object::{PARTIAL, RopeObject};
use super::parameters::{RopeConfig, RopeRules, RopeScaling, Ropes};
use crate::config::{ModelConfig, shown};

/// One way to write the parameters, read.
#[derive(Default)]
struct Spelling {
    name: &'static str,
    theta: Option<f64>,
    partial: Option<f64>,
    scaling: Option<RopeScaling>,
}

impl ModelConfig {
    /// Rotary embedding from either spelling, under the family's rules.
    ///
    /// # Errors
    /// `ModelUnsupported` names a key or type that is not implemented; `ConfigInvalid` a number out of range or two
    /// spellings that contradict each other.
    pub fn rope(&self, rules: RopeRules) -> Result<Ropes> {
        refuse_unknown_keys(self, rules)?;
        let top =
            |key: &'static str| Ok(Spelling { name: key, theta: self.optional_positive(key)?, ..Spelling::default() });
        let scaling = read_object(self, "rope_scaling", rules)?;
        let partial = Spelling { name: PARTIAL, partial: self.optional_positive(PARTIAL)?, ..Spelling::default() };
        let Some(windowed) = rules.windowed else {
            let spellings = [read_object(self, "rope_parameters", rules)?, scaling, top("rope_theta")?, partial];
            return Ok(Ropes { full: joined(self, &spellings, rules.theta)?, windowed: None });
        };
        let [full, local] = read_nested(self, rules)?;
        Ok(Ropes {
            full: joined(self, &[full, scaling, top("rope_theta")?, partial], rules.theta)?,
            windowed: Some(joined(self, &[local, top(windowed.theta_key)?], windowed.theta)?),
        })
    }
}

/// Top-level keys about rotation other than those read here belong to features that are not implemented.
fn refuse_unknown_keys(config: &ModelConfig, rules: RopeRules) -> Result<()> {
    for key in config.as_map().keys() {
        let about_rope = ["rope_", "rotary_"].iter().any(|prefix| key.starts_with(prefix)) || key == PARTIAL;
        let understood = match key.as_str() {
            "rope_parameters" | "rope_scaling" | "rope_theta" => true,
            PARTIAL => rules.partial || config.value(key).is_none_or(|factor| factor.as_f64() == Some(1.0)),
            // SmolLM2's files say that they are not interleaved, which is what every supported family is.
            "rope_interleaved" => !config.flag(key, false)?,
            key if rules.windowed.is_some_and(|windowed| windowed.theta_key == key) => true,
            _ => !about_rope || config.value(key).is_none(),
        };
        if !understood {
            return Err(config.refuse(
                Code::ModelUnsupported,
                format!(
                    "expected rope_parameters, or rope_theta and rope_scaling, got `{key}` as well; \
                     this rotary embedding is not implemented"
                ),
            ));
        }
    }
    Ok(())
}

fn joined(config: &ModelConfig, spellings: &[Spelling], default_theta: f64) -> Result<RopeConfig> {
    let theta = agreed(config, "base", spellings.iter().map(|spelling| (spelling.name, spelling.theta)))?;
    let partial = agreed(config, "part", spellings.iter().map(|spelling| (spelling.name, spelling.partial)))?;
    let scaling =
        agreed(config, "scaling", spellings.iter().map(|spelling| (spelling.name, spelling.scaling.clone())))?;
    let partial = partial.unwrap_or(1.0);
    if partial > 1.0 {
        return Err(
            config.refuse(Code::ConfigInvalid, format!("expected {PARTIAL} of at most 1, got {partial}; correct it"))
        );
    }
    Ok(RopeConfig { theta: theta.unwrap_or(default_theta), partial, scaling: scaling.unwrap_or(RopeScaling::Default) })
}

/// The one value that all spellings give.
fn agreed<T: Clone + PartialEq>(
    config: &ModelConfig,
    what: &str,
    given: impl Iterator<Item = (&'static str, Option<T>)>,
) -> Result<Option<T>> {
    let mut first: Option<(&str, T)> = None;
    for (name, value) in given {
        match (&first, value) {
            (None, Some(value)) => first = Some((name, value)),
            (Some((other, agreed)), Some(value)) if *agreed != value => {
                return Err(config.refuse(
                    Code::ConfigInvalid,
                    format!("expected one rotary {what}, got different ones in `{other}` and `{name}`; remove one"),
                ));
            }
            _ => {}
        }
    }
    Ok(first.map(|(_, value)| value))
}

fn read_object(config: &ModelConfig, name: &'static str, rules: RopeRules) -> Result<Spelling> {
    match config.value(name) {
        None => Ok(Spelling { name, ..Spelling::default() }),
        Some(value) => read_spelling(config, name, as_map(config, name, value)?, rules),
    }
}

/// The two objects of a `rope_parameters` that has one per kind of layer; either may be missing.
fn read_nested(config: &ModelConfig, rules: RopeRules) -> Result<[Spelling; 2]> {
    const KINDS: [&str; 2] = ["full_attention", "sliding_attention"];
    let outer = config.value("rope_parameters").map(|value| as_map(config, "rope_parameters", value)).transpose()?;
    if let Some(key) = outer.and_then(|outer| outer.keys().find(|key| !KINDS.contains(&key.as_str()))) {
        return Err(config.refuse(
            Code::ConfigInvalid,
            format!("expected {} and {} in `rope_parameters`, got `{key}`; correct it", KINDS[0], KINDS[1]),
        ));
    }
    let read = |name: &'static str| match outer.and_then(|outer| outer.get(name)).filter(|value| !value.is_null()) {
        None => Ok(Spelling { name, ..Spelling::default() }),
        Some(value) => read_spelling(config, name, as_map(config, name, value)?, rules),
    };
    Ok([read(KINDS[0])?, read(KINDS[1])?])
}

fn as_map<'a>(config: &ModelConfig, name: &str, value: &'a Value) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| {
        config.refuse(Code::ConfigInvalid, format!("expected an object in `{name}`, got {}; correct it", shown(value)))
    })
}

fn read_spelling(
    config: &ModelConfig,
    name: &'static str,
    map: &Map<String, Value>,
    rules: RopeRules,
) -> Result<Spelling> {
    let object = RopeObject { config, name, map, partial: rules.partial };
    let (theta, partial) = (object.positive("rope_theta")?, object.positive(PARTIAL)?);
    Ok(Spelling { name, theta, partial, scaling: Some(object.scaling()?) })
}
