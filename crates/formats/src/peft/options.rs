//! The options of a new adapter as JSON gives them: PEFT's unions, read into one type each.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

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

/// Which biases of the model are trained with an adapter (PEFT's `bias`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainedBias {
    /// None.
    #[default]
    None,
    /// Every one.
    All,
    /// Those of the adapted layers.
    LoraOnly,
}

impl TrainedBias {
    const ALL: [Self; 3] = [Self::None, Self::All, Self::LoraOnly];

    /// Its name in adapter_config.json.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::All => "all",
            Self::LoraOnly => "lora_only",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the bias of a layer is among them.
    pub fn includes(self, adapted: bool) -> bool {
        self == Self::All || (self == Self::LoraOnly && adapted)
    }
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
    /// Rows of A orthogonal to columns of B, so that B·A is zero though neither is: `"orthogonal"`. For even ranks.
    Orthogonal,
    /// The largest singular values of the weight with their vectors, which leave the base (PiSSA, Meng et al. 2024,
    /// arXiv:2404.02948): `"pissa"`.
    Pissa,
    /// The same, found by a random projection and this many iterations (Halko et al. 2011): `"pissa_niter_16"`.
    PissaNiter(u32),
    /// The first columns of Q and rows of R of the weight, which leave the base (OLoRA, Büyükakyüz 2024, arXiv:2406.01775):
    /// `"olora"`.
    Olora,
    /// The largest singular values of what quantising the weight to four bits loses, in turn with that so many times; what is left of
    /// the base is the quantised weight (`LoftQ`, Li et al. 2023, arXiv:2310.08659): `"loftq"`.
    LoftQ(u32),
}

impl InitLoraWeights {
    /// Every spelling that is read, for messages.
    const EXPECTED: &str = "true, false, \"gaussian\", \"orthogonal\", \"pissa\", \"pissa_niter_16\" (or another number), \"olora\" or \"loftq\"";

    /// Whether the adapter takes its first values out of the base, so that it fits only what is left of that.
    pub fn changes_base(self) -> bool {
        matches!(self, Self::Pissa | Self::PissaNiter(_) | Self::Olora | Self::LoftQ(_))
    }

    /// Whether the whole base is what is left of it and the first product, so that the adapter can be written for the whole base.
    pub fn is_exact(self) -> bool {
        self.changes_base() && !matches!(self, Self::LoftQ(_))
    }

    /// Whether it needs no more than sizes and random numbers.
    pub(super) fn is_drawn(self) -> bool {
        matches!(self, Self::Kaiming | Self::Gaussian | Self::Random)
    }

    /// By PEFT's name of it.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gaussian" => Self::Gaussian,
            "orthogonal" => Self::Orthogonal,
            "pissa" => Self::Pissa,
            "olora" => Self::Olora,
            "loftq" => Self::LoftQ(1),
            _ => Self::PissaNiter(name.strip_prefix("pissa_niter_")?.parse().ok()?),
        })
    }

    /// As adapter_config.json has it.
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::Kaiming => json!(true),
            Self::Random => json!(false),
            Self::Gaussian => json!("gaussian"),
            Self::Orthogonal => json!("orthogonal"),
            Self::Pissa => json!("pissa"),
            Self::PissaNiter(iterations) => json!(format!("pissa_niter_{iterations}")),
            Self::Olora => json!("olora"),
            Self::LoftQ(_) => json!("loftq"),
        }
    }
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
            Given::Name(name) => Self::named(&name)
                .ok_or_else(|| de::Error::custom(format!("expected {}, got {name:?}", Self::EXPECTED))),
        }
    }
}

/// How `LoftQ` begins (PEFT's `LoftQConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoftqConfig {
    /// Bits of the quantised weight: 4, of which NF4 is made in blocks of 64.
    pub loftq_bits: u32,
    /// Times that quantising and taking singular values alternate.
    pub loftq_iter: u32,
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
