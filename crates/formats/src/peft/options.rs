//! The options of a new adapter as JSON gives them: PEFT's unions, read into one type each.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// A choice of modules by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleNames {
    /// Every linear layer but the output head (PEFT's `all-linear`).
    AllLinear,
    /// Full names, or endings after a dot: `q_proj`, `self_attn.q_proj`.
    Endings(Vec<String>),
    /// A regular expression that the whole name must match.
    Pattern(String),
}

/// How the factors of a new adapter begin (PEFT's `init_lora_weights`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InitLoraWeights {
    /// A uniform in ±1/√k (Kaiming with a = √5), B zero: `true`.
    #[default]
    Kaiming,
    /// A normal with deviation 1/r, B zero: `"gaussian"`.
    Gaussian,
    /// A as with `true`, B uniform in ±1/√r: `false`. The adapter does not begin at the base model.
    Random,
}

impl<'de> Deserialize<'de> for InitLoraWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Given {
            Flag(bool),
            Name(String),
        }
        match Given::deserialize(deserializer)? {
            Given::Flag(true) => Ok(Self::Kaiming),
            Given::Flag(false) => Ok(Self::Random),
            Given::Name(name) if name == "gaussian" => Ok(Self::Gaussian),
            Given::Name(name) => Err(de::Error::custom(format!("expected true, false or \"gaussian\", got {name:?}"))),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Many(Vec<String>),
}

/// `"all-linear"`, a regular expression, or a list of names.
pub(super) fn names_or_pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ModuleNames, D::Error> {
    Ok(match Names::deserialize(deserializer)? {
        Names::One(text) if text.eq_ignore_ascii_case("all-linear") => ModuleNames::AllLinear,
        Names::One(pattern) => ModuleNames::Pattern(pattern),
        Names::Many(list) => ModuleNames::Endings(list),
    })
}

/// A regular expression, a list of names, or null.
pub(super) fn optional_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ModuleNames>, D::Error> {
    Ok(Option::<Names>::deserialize(deserializer)?.map(|names| match names {
        Names::One(pattern) => ModuleNames::Pattern(pattern),
        Names::Many(list) => ModuleNames::Endings(list),
    }))
}

/// A list of names; null is none.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The entries of an object in their order: the first pattern that matches counts.
pub(super) fn pairs<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<(String, T)>, D::Error> {
    struct Pairs<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
        type Value = Vec<(String, T)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object of values by regular expression")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }

    deserializer.deserialize_map(Pairs(PhantomData))
}
