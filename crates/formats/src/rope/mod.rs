//! Rotary embedding parameters from both spellings: `rope_parameters` (transformers 5) and `rope_theta` with `rope_scaling`
//! (4.x). Every key is understood or refused: a rotation that is silently wrong trains a model that is silently worse.

mod object;

use serde_json::{Map, Value};
use tunesmith_ops::{Code, Result};

use crate::config::{ModelConfig, POSITIVE, as_positive, shown};
use object::RopeObject;

/// How the base frequencies are changed for long contexts.
#[derive(Debug, Clone, PartialEq)]
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
    /// YaRN.
    Yarn(YarnScaling),
    /// LongRoPE.
    LongRope(LongRopeScaling),
}

/// YaRN (Peng et al. 2023, arXiv:2309.00071): dimensions that turn often are kept, those that turn seldom divided by
/// `factor`, a ramp over the dimensions between; cosine and sine are multiplied by a factor of attention.
#[derive(Debug, Clone, PartialEq)]
pub struct YarnScaling {
    /// Divisor of the slow dimensions, at least 1.
    pub factor: f64,
    /// Multiplies cosine and sine; None: `0.1 ln factor + 1`, or as `mscale` says.
    pub attention_factor: Option<f64>,
    /// `mscale` and `mscale_all_dim`, where both are given: the attention factor is the quotient of the two.
    pub mscale: Option<(f64, f64)>,
    /// Turns over the original context from which a dimension is kept; default 32.
    pub beta_fast: f64,
    /// Turns below which a dimension is divided; default 1.
    pub beta_slow: f64,
    /// The ends of the ramp are rounded outwards to whole dimensions; default true.
    pub truncate: bool,
    /// Context length of the original training, in tokens.
    pub original_max_position_embeddings: usize,
}

/// LongRoPE (Ding et al. 2024, arXiv:2402.13753): every dimension has a divisor of its own, another one in sequences longer
/// than the original context.
#[derive(Debug, Clone, PartialEq)]
pub struct LongRopeScaling {
    /// Divisors up to the original context.
    pub short_factor: Vec<f64>,
    /// Divisors beyond it.
    pub long_factor: Vec<f64>,
    /// Longest context over the original one.
    pub factor: f64,
    /// Multiplies cosine and sine; None: `√(1 + ln factor / ln original)`.
    pub attention_factor: Option<f64>,
    /// Context length of the original training, in tokens.
    pub original_max_position_embeddings: usize,
}

/// Base and scaling of the rotation.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric series of frequencies.
    pub theta: f64,
    /// Part of every head that is rotated, in 0 … 1.
    pub partial: f64,
    /// Change of the frequencies.
    pub scaling: RopeScaling,
}

/// What a family says about its rotation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeRules {
    /// Base where the configuration names none.
    pub theta: f64,
    /// `partial_rotary_factor` may be below 1.
    pub partial: bool,
    /// Windowed layers have a rotation of their own.
    pub windowed: Option<WindowedRope>,
}

/// The rotation of windowed layers, where it is another one (Gemma 3): `rope_parameters` holds an object per kind of layer;
/// the older spelling has a key for the second base, and its `rope_scaling` concerns the other layers only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowedRope {
    /// Key of the base in the older spelling.
    pub theta_key: &'static str,
    /// Base where the configuration names none.
    pub theta: f64,
}

impl RopeRules {
    /// One rotation of whole heads with a base.
    pub fn plain(theta: f64) -> Self {
        Self { theta, partial: false, windowed: None }
    }
}

/// The rotations of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Ropes {
    /// Of layers that see everything, or of all.
    pub full: RopeConfig,
    /// Of windowed layers, where the family's rules have one.
    pub windowed: Option<RopeConfig>,
}

/// One way to write the parameters, read.
#[derive(Default)]
struct Spelling {
    name: &'static str,
    theta: Option<f64>,
    partial: Option<f64>,
    scaling: Option<RopeScaling>,
}

/// Reads all spellings that are present; they must not contradict each other.
pub(crate) fn read_rope(config: &ModelConfig, rules: RopeRules) -> Result<Ropes> {
    refuse_unknown_keys(config, rules)?;
    let top =
        |key: &'static str| Ok(Spelling { name: key, theta: config.optional_positive(key)?, ..Spelling::default() });
    let scaling = read_object(config, "rope_scaling", rules)?;
    let partial = Spelling { name: PARTIAL, partial: config.optional_positive(PARTIAL)?, ..Spelling::default() };
    let Some(windowed) = rules.windowed else {
        let spellings = [read_object(config, "rope_parameters", rules)?, scaling, top("rope_theta")?, partial];
        return Ok(Ropes { full: joined(config, &spellings, rules.theta)?, windowed: None });
    };
    let [full, local] = read_nested(config, rules)?;
    Ok(Ropes {
        full: joined(config, &[full, scaling, top("rope_theta")?, partial], rules.theta)?,
        windowed: Some(joined(config, &[local, top(windowed.theta_key)?], windowed.theta)?),
    })
}

const PARTIAL: &str = "partial_rotary_factor";

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
fn agreed<T: Clone + PartialEq + std::fmt::Debug>(
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

#[cfg(test)]
mod tests;
