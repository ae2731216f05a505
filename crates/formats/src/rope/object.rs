//! One object of rotary parameters: its type, and the keys that belong to it.

use serde_json::{Map, Value};
use tunesmith_ops::{Code, Error, Result};

use super::parameters::{LongRopeScaling, RopeScaling, YarnScaling};
use crate::config::{ModelConfig, POSITIVE, as_positive, shown};

/// Key of the part of every head that is rotated.
pub(super) const PARTIAL: &str = "partial_rotary_factor";

/// The object, with getters that name it in their errors.
pub(super) struct RopeObject<'a> {
    pub config: &'a ModelConfig,
    pub name: &'static str,
    pub map: &'a Map<String, Value>,
    /// Only a part of the head may be rotated.
    pub partial: bool,
}

const ORIGINAL: &str = "original_max_position_embeddings";

impl RopeObject<'_> {
    pub fn scaling(&self) -> Result<RopeScaling> {
        let kind = self.kind()?;
        let keys: &[&str] = match kind {
            "default" => &[],
            "linear" => &["factor"],
            "llama3" => &["factor", "low_freq_factor", "high_freq_factor", ORIGINAL],
            "yarn" => &[
                "factor",
                "attention_factor",
                "beta_fast",
                "beta_slow",
                "mscale",
                "mscale_all_dim",
                "truncate",
                ORIGINAL,
            ],
            // The name that Phi-3 first gave it.
            "longrope" | "su" => &["short_factor", "long_factor", "factor", "attention_factor", ORIGINAL],
            other => {
                return Err(self.unsupported(&format!(
                    "expected rope_type default, linear, llama3, yarn or longrope in `{}`, got {other}",
                    self.name
                )));
            }
        };
        self.refuse_unknown_keys(kind, keys)?;
        match kind {
            "linear" => Ok(RopeScaling::Linear { factor: self.factor()? }),
            "llama3" => self.llama3(),
            "yarn" => self.yarn(),
            "longrope" | "su" => self.long_rope(),
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

    fn yarn(&self) -> Result<RopeScaling> {
        let fast = self.positive("beta_fast")?.unwrap_or(32.0);
        let slow = self.positive("beta_slow")?.unwrap_or(1.0);
        if slow > fast {
            return Err(self.invalid(&format!("beta_slow of at most beta_fast, got {slow} and {fast}")));
        }
        let truncate = match self.present("truncate") {
            None => true,
            Some(value) => value.as_bool().ok_or_else(|| self.invalid("true or false as `truncate`"))?,
        };
        Ok(RopeScaling::Yarn(YarnScaling {
            factor: self.factor_or_ratio()?,
            attention_factor: self.positive("attention_factor")?,
            mscale: self.positive("mscale")?.zip(self.positive("mscale_all_dim")?),
            beta_fast: fast,
            beta_slow: slow,
            truncate,
            original_max_position_embeddings: self.original_length()?,
        }))
    }

    fn long_rope(&self) -> Result<RopeScaling> {
        let original = self.original_length()?;
        if original < 2 {
            return Err(self.invalid(&format!("`{ORIGINAL}` above 1, got {original}")));
        }
        Ok(RopeScaling::LongRope(LongRopeScaling {
            short_factor: self.divisors("short_factor")?,
            long_factor: self.divisors("long_factor")?,
            factor: self.factor_or_ratio()?,
            attention_factor: self.positive("attention_factor")?,
            original_max_position_embeddings: original,
        }))
    }

    fn divisors(&self, key: &str) -> Result<Vec<f64>> {
        let list = self.present(key).and_then(Value::as_array);
        let divisors = list.and_then(|list| list.iter().map(as_positive).collect());
        divisors.ok_or_else(|| self.invalid(&format!("a list of numbers above 0 as `{key}`")))
    }

    /// `factor`, or the longest context over the original one where it is not written.
    fn factor_or_ratio(&self) -> Result<f64> {
        if self.present("factor").is_some() {
            return self.factor();
        }
        Ok(self.config.size("max_position_embeddings")? as f64 / self.original_length()? as f64)
    }

    /// Length of the original training: beside the other parameters, at the top level, or, as transformers 5 has it, the
    /// longest context where neither is written.
    fn original_length(&self) -> Result<usize> {
        let key = ORIGINAL;
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
                PARTIAL => self.partial || value.as_f64() == Some(1.0),
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

    pub fn positive(&self, key: &str) -> Result<Option<f64>> {
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
