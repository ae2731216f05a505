//! Rotary embedding parameters from both spellings: `rope_parameters` (transformers 5) and `rope_theta` with `rope_scaling`
//! (4.x). Every key is understood or refused: a rotation that is silently wrong trains a model that is silently worse.

use serde_json::{Map, Value};
use tunesmith_ops::{Code, Error, Result};

use crate::config::{ModelConfig, POSITIVE, as_positive, shown};

/// How the base frequencies are changed for long contexts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// Unchanged.
    Default,
    /// All frequencies divided by `factor` (Chen et al. 2023, position interpolation).
    Linear {
        /// Divisor, at least 1.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, a ramp between.
    Llama3 {
        /// Divisor of the low frequencies, at least 1.
        factor: f64,
        /// Wavelengths above original / this are divided.
        low_freq_factor: f64,
        /// Wavelengths below original / this are kept; above `low_freq_factor`.
        high_freq_factor: f64,
        /// Context length of the original training, in tokens.
        original_max_position_embeddings: usize,
    },
}

/// Base and scaling of the rotation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric series of frequencies.
    pub theta: f64,
    /// Change of the frequencies.
    pub scaling: RopeScaling,
}

/// One way to write the parameters, read.
struct Spelling {
    name: &'static str,
    theta: Option<f64>,
    scaling: Option<RopeScaling>,
}

/// Reads all spellings that are present; they must not contradict each other.
pub(crate) fn read_rope(config: &ModelConfig, default_theta: f64) -> Result<RopeConfig> {
    refuse_unknown_keys(config)?;
    let spellings = [
        read_object(config, "rope_parameters")?,
        read_object(config, "rope_scaling")?,
        Spelling { name: "rope_theta", theta: config.optional_positive("rope_theta")?, scaling: None },
    ];
    let theta = agreed(config, "base", spellings.iter().map(|spelling| (spelling.name, spelling.theta)))?;
    let scaling = agreed(config, "scaling", spellings.iter().map(|spelling| (spelling.name, spelling.scaling)))?;
    Ok(RopeConfig { theta: theta.unwrap_or(default_theta), scaling: scaling.unwrap_or(RopeScaling::Default) })
}

/// Top-level keys about rotation other than those read here belong to features that are not implemented.
fn refuse_unknown_keys(config: &ModelConfig) -> Result<()> {
    for key in config.as_map().keys() {
        let about_rope =
            ["rope_", "rotary_"].iter().any(|prefix| key.starts_with(prefix)) || key == "partial_rotary_factor";
        let understood = match key.as_str() {
            "rope_parameters" | "rope_scaling" | "rope_theta" => true,
            "partial_rotary_factor" => config.value(key).is_none_or(|factor| factor.as_f64() == Some(1.0)),
            // SmolLM2's files say that they are not interleaved, which is what every supported family is.
            "rope_interleaved" => !config.flag(key, false)?,
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

/// The one value that all spellings give.
fn agreed<T: Copy + PartialEq + std::fmt::Debug>(
    config: &ModelConfig,
    what: &str,
    given: impl Iterator<Item = (&'static str, Option<T>)>,
) -> Result<Option<T>> {
    let mut first: Option<(&str, T)> = None;
    for (name, value) in given {
        match (first, value) {
            (None, Some(value)) => first = Some((name, value)),
            (Some((other, agreed)), Some(value)) if agreed != value => {
                return Err(config.refuse(
                    Code::ConfigInvalid,
                    format!(
                        "expected one rotary {what}, got {agreed:?} in `{other}` and {value:?} in `{name}`; remove one"
                    ),
                ));
            }
            _ => {}
        }
    }
    Ok(first.map(|(_, value)| value))
}

fn read_object(config: &ModelConfig, name: &'static str) -> Result<Spelling> {
    let Some(value) = config.value(name) else {
        return Ok(Spelling { name, theta: None, scaling: None });
    };
    let Value::Object(map) = value else {
        return Err(config
            .refuse(Code::ConfigInvalid, format!("expected an object in `{name}`, got {}; correct it", shown(value))));
    };
    let object = RopeObject { config, name, map };
    Ok(Spelling { name, theta: object.positive("rope_theta")?, scaling: Some(object.scaling()?) })
}

/// One of the two objects, with getters that name it in their errors.
struct RopeObject<'a> {
    config: &'a ModelConfig,
    name: &'static str,
    map: &'a Map<String, Value>,
}

impl RopeObject<'_> {
    fn scaling(&self) -> Result<RopeScaling> {
        let kind = self.kind()?;
        let keys: &[&str] = match kind {
            "default" => &[],
            "linear" => &["factor"],
            "llama3" => &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
            other => {
                return Err(self.unsupported(&format!(
                    "expected rope_type default, linear or llama3 in `{}`, got {other}",
                    self.name
                )));
            }
        };
        self.refuse_unknown_keys(kind, keys)?;
        match kind {
            "linear" => Ok(RopeScaling::Linear { factor: self.factor()? }),
            "llama3" => self.llama3(),
            _ => Ok(RopeScaling::Default),
        }
    }

    fn llama3(&self) -> Result<RopeScaling> {
        let (low, high) = (self.required("low_freq_factor")?, self.required("high_freq_factor")?);
        if low >= high {
            return Err(self.invalid(&format!("low_freq_factor below high_freq_factor, got {low} and {high}")));
        }
        let original = self.original_length()?;
        Ok(RopeScaling::Llama3 {
            factor: self.factor()?,
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_position_embeddings: original,
        })
    }

    /// Length of the original training: beside the other parameters, at the top level, or, as transformers 5 has it, the
    /// longest context where neither is written.
    fn original_length(&self) -> Result<usize> {
        let key = "original_max_position_embeddings";
        let size = |value: f64| value.fract() == 0.0 && value < f64::from(i32::MAX);
        let inside = match self.positive(key)? {
            Some(length) if !size(length) => return Err(self.invalid(&format!("a whole `{key}`, got {length}"))),
            length => length.map(|length| length as usize),
        };
        match (inside, self.config.optional_size(key)?) {
            (Some(inside), Some(outside)) if inside != outside => {
                Err(self.invalid(&format!("the `{key}` of the top level, {outside}, got {inside}")))
            }
            (Some(length), _) | (None, Some(length)) => Ok(length),
            (None, None) => self.config.size("max_position_embeddings"),
        }
    }

    /// `rope_type`, or its older name `type`; both may be written if they agree.
    fn kind(&self) -> Result<&str> {
        let text = |key: &str| match self.present(key) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .map(Some)
                .ok_or_else(|| self.invalid(&format!("a string as `{key}`, got {}", shown(value)))),
        };
        match (text("rope_type")?, text("type")?) {
            (Some(new), Some(old)) if new != old => {
                Err(self.invalid(&format!("one type, got rope_type {new} and type {old}")))
            }
            (new, old) => Ok(new.or(old).unwrap_or("default")),
        }
    }

    fn refuse_unknown_keys(&self, kind: &str, keys: &[&str]) -> Result<()> {
        for (key, value) in self.map {
            let understood = match key.as_str() {
                "rope_type" | "type" | "rope_theta" => true,
                "partial_rotary_factor" => value.as_f64() == Some(1.0),
                other => keys.contains(&other),
            };
            if !understood && !value.is_null() {
                return Err(self.unsupported(&format!(
                    "expected only keys of rope_type {kind} in `{}`, got `{key}`: {}",
                    self.name,
                    shown(value)
                )));
            }
        }
        Ok(())
    }

    fn factor(&self) -> Result<f64> {
        let factor = self.required("factor")?;
        if factor < 1.0 {
            return Err(self.invalid(&format!("a factor of at least 1, got {factor}")));
        }
        Ok(factor)
    }

    fn required(&self, key: &str) -> Result<f64> {
        self.positive(key)?.ok_or_else(|| self.invalid(&format!("the key `{key}`, got none")))
    }

    fn positive(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.present(key) else { return Ok(None) };
        as_positive(value)
            .map(Some)
            .ok_or_else(|| self.invalid(&format!("{POSITIVE} as `{key}`, got {}", shown(value))))
    }

    fn present(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn invalid(&self, expected_and_got: &str) -> Error {
        self.config.refuse(Code::ConfigInvalid, format!("expected in `{}` {expected_and_got}; correct it", self.name))
    }

    fn unsupported(&self, message: &str) -> Error {
        self.config.refuse(Code::ModelUnsupported, format!("{message}; this rotary embedding is not implemented"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn rope(value: Value) -> Result<RopeConfig> {
        ModelConfig::from_json(Path::new("config.json"), value).unwrap().rope(10_000.0)
    }

    fn code(value: Value) -> Code {
        rope(value).unwrap_err().code
    }

    #[test]
    fn all_spellings_of_one_model_are_equal() {
        let expected = RopeConfig {
            theta: 500_000.0,
            scaling: RopeScaling::Llama3 {
                factor: 8.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_max_position_embeddings: 8192,
            },
        };
        let scaling = |kind: Value| {
            let mut map = json!({
                "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4, "original_max_position_embeddings": 8192,
            });
            map.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
            map
        };
        let new = scaling(json!({ "rope_type": "llama3", "rope_theta": 500_000.0 }));
        let mut unstated = new.clone();
        unstated["original_max_position_embeddings"] = Value::Null;
        let old = scaling(json!({ "type": "llama3" }));
        let both_types = scaling(json!({ "type": "llama3", "rope_type": "llama3" }));
        for value in [
            json!({ "rope_parameters": new }),
            json!({ "rope_theta": 500_000, "rope_scaling": old }),
            json!({ "rope_theta": 500_000.0, "rope_scaling": both_types }),
            json!({ "rope_parameters": new, "rope_theta": 500_000.0, "rope_scaling": old }),
            json!({ "rope_parameters": unstated, "max_position_embeddings": 8192 }),
            json!({ "rope_parameters": unstated, "original_max_position_embeddings": 8192, "max_position_embeddings": 9 }),
        ] {
            assert_eq!(rope(value).unwrap(), expected);
        }
    }

    #[test]
    fn absent_and_default_parameters() {
        let plain = RopeConfig { theta: 10_000.0, scaling: RopeScaling::Default };
        for value in [
            json!({}),
            json!({ "rope_scaling": null, "rope_theta": 10_000.0, "no_rope_layers": [1, 0] }),
            json!({ "rope_interleaved": false }),
            json!({ "rope_parameters": { "rope_type": "default", "partial_rotary_factor": 1.0 } }),
            json!({ "partial_rotary_factor": 1.0 }),
        ] {
            assert_eq!(rope(value).unwrap(), plain);
        }
        let linear = json!({ "rope_scaling": { "type": "linear", "factor": 2.0 } });
        assert_eq!(rope(linear).unwrap().scaling, RopeScaling::Linear { factor: 2.0 });
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for value in [
            json!({ "rope_parameters": { "rope_type": "yarn", "factor": 4.0 } }),
            json!({ "rope_parameters": { "rope_type": "default", "mrope_section": [16, 24, 24] } }),
            json!({ "rope_parameters": { "rope_type": "linear", "factor": 2.0, "attention_factor": 1.5 } }),
            json!({ "rope_scaling": { "factor": 2.0 } }),
            json!({ "rope_local_base_freq": 10_000.0 }),
            json!({ "rotary_pct": 0.25 }),
            json!({ "rope_interleaved": true }),
            json!({ "partial_rotary_factor": 0.5 }),
            json!({ "rope_parameters": { "full_attention": { "rope_type": "default" } } }),
        ] {
            assert_eq!(code(value.clone()), Code::ModelUnsupported, "{value}");
        }
    }

    #[test]
    fn contradictions_and_impossible_numbers_are_refused() {
        let llama3 = |low: Value, original: Value| {
            json!({ "rope_parameters": { "rope_type": "llama3", "factor": 8.0, "low_freq_factor": low,
                "high_freq_factor": 4.0, "original_max_position_embeddings": original } })
        };
        for value in [
            json!({ "rope_theta": 10_000.0, "rope_parameters": { "rope_theta": 500_000.0 } }),
            json!({ "rope_scaling": { "type": "linear", "factor": 2.0 }, "rope_parameters": { "rope_type": "default" } }),
            json!({ "rope_scaling": { "type": "linear", "rope_type": "llama3", "factor": 2.0 } }),
            json!({ "rope_theta": 0 }),
            json!({ "rope_theta": 1e308 }),
            json!({ "rope_theta": "10000" }),
            json!({ "rope_parameters": [] }),
            json!({ "rope_parameters": { "rope_type": 3 } }),
            json!({ "rope_scaling": { "type": "linear", "factor": 0.5 } }),
            json!({ "rope_scaling": { "type": "linear" } }),
            llama3(json!(4.0), json!(64)),
            llama3(json!(1.0), json!(64.5)),
            llama3(json!(1.0), json!(null)),
            llama3(json!(-1.0), json!(64)),
        ] {
            assert_eq!(code(value.clone()), Code::ConfigInvalid, "{value}");
        }
    }
}
