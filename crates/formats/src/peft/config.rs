//! `adapter_config.json`: the keys of PEFT's `LoraConfig` that are implemented; all others must be at rest.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tunesmith_ops::{Code, Result};

use super::names::ends_with;
use super::options::{
    InitLoraWeights, LoftqConfig, ModuleNames, TrainedBias, list, names_or_pattern, optional_names, pairs,
};
use super::token_indices::TokenIndices;
use crate::config::{ModelConfig, shown};

/// Keys of PEFT 0.21 that change nothing once an adapter is trained, whatever their value, or only together with a key that
/// is refused: those of an initialisation among them.
const WITHOUT_EFFECT: [&str; 11] = [
    "auto_mapping",
    "base_model_class",
    "corda_config",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "task_type",
];

/// Keys that are read.
const KNOWN: [&str; 20] = [
    "alpha_pattern",
    "base_model_name_or_path",
    "bias",
    "ensure_weight_tying",
    "exclude_modules",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_bias",
    "lora_dropout",
    "modules_to_save",
    "r",
    "rank_pattern",
    "revision",
    "target_modules",
    "target_parameters",
    "trainable_token_indices",
    "use_dora",
    "use_rslora",
];

/// The matrices of experts, in the order in which transformers 5 has them.
pub const EXPERT_PARAMETERS: [&str; 2] = ["gate_up_proj", "down_proj"];
const BASE_LAYER: &str = ".base_layer";

/// A LoRA adapter's configuration, by the names of PEFT's `LoraConfig`: as a file holds it, or in camelCase as the options of a
/// new adapter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "as PEFT has them")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdapterConfig {
    /// Where the base model came from.
    #[serde(skip)]
    pub base_model_name_or_path: Option<String>,
    /// Revision of the base model.
    #[serde(skip)]
    pub revision: Option<String>,
    /// Rank.
    pub r: usize,
    /// Numerator of the scale.
    pub lora_alpha: f64,
    /// Dropout before A, from 0 up to but not including 1; used in training only.
    pub lora_dropout: f64,
    /// Scale alpha / √r in place of alpha / r (Kalajdzievski 2023).
    pub use_rslora: bool,
    /// The adapted weight's rows have trained lengths (DoRA, Liu et al. 2024).
    pub use_dora: bool,
    /// The adapted modules.
    #[serde(deserialize_with = "names_or_pattern")]
    pub target_modules: ModuleNames,
    /// The adapted parameters that are no module's `weight`: matrices of experts, by their names or endings after a dot.
    #[serde(deserialize_with = "list")]
    pub target_parameters: Vec<String>,
    /// Modules that are not adapted even where `target_modules` names them.
    #[serde(deserialize_with = "optional_names")]
    pub exclude_modules: Option<ModuleNames>,
    /// Modules trained as a whole and saved with the adapter: every name that ends in one of these.
    #[serde(deserialize_with = "list")]
    pub modules_to_save: Vec<String>,
    /// Other ranks, by regular expressions on the ends of names; the first that matches counts.
    #[serde(deserialize_with = "pairs")]
    pub rank_pattern: Vec<(String, usize)>,
    /// Other values of `lora_alpha`, likewise.
    #[serde(deserialize_with = "pairs")]
    pub alpha_pattern: Vec<(String, f64)>,
    /// Indices of the layers that are adapted; none: all.
    pub layers_to_transform: Option<Vec<usize>>,
    /// Names of the lists whose indices those are; empty: the first list in a name.
    #[serde(deserialize_with = "list")]
    pub layers_pattern: Vec<String>,
    /// Biases of the model that are trained.
    pub bias: TrainedBias,
    /// B has a bias of its own, which is scaled as the factors are.
    pub lora_bias: bool,
    /// How the factors of a new adapter begin. A saved one is past it, but for what its beginning took out of the base.
    pub init_lora_weights: InitLoraWeights,
    /// How `init_lora_weights` `loftq` begins; none: once, with four bits.
    pub loftq_config: Option<LoftqConfig>,
    /// Tokens whose rows of the embedding or the head are trained, while all others stay.
    pub trainable_token_indices: Option<TokenIndices>,
    /// What is done to a head or an embedding is done to both where they are one matrix.
    pub ensure_weight_tying: bool,
}

impl Default for AdapterConfig {
    /// PEFT's defaults: rank 8, alpha 8, nothing dropped; every linear layer.
    fn default() -> Self {
        Self {
            base_model_name_or_path: None,
            revision: None,
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            use_rslora: false,
            use_dora: false,
            target_modules: ModuleNames::AllLinear,
            target_parameters: Vec::new(),
            exclude_modules: None,
            modules_to_save: Vec::new(),
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
            layers_to_transform: None,
            layers_pattern: Vec::new(),
            bias: TrainedBias::default(),
            lora_bias: false,
            init_lora_weights: InitLoraWeights::default(),
            loftq_config: None,
            trainable_token_indices: None,
            ensure_weight_tying: false,
        }
    }
}

impl AdapterConfig {
    /// The configuration of a new plain adapter. `target_modules` are the last parts of the adapted paths.
    pub fn lora(base: &str, r: usize, lora_alpha: f64, use_rslora: bool, target_modules: Vec<String>) -> Self {
        Self {
            base_model_name_or_path: Some(base.to_owned()),
            r,
            lora_alpha,
            use_rslora,
            target_modules: ModuleNames::Endings(sorted(target_modules)),
            ..Self::default()
        }
    }

    /// Factor of B·A·x for the adapter's own rank and alpha: alpha / r, or alpha / √r.
    pub fn scale(&self) -> f32 {
        self.scale_of(self.r, self.lora_alpha)
    }

    /// The same for another rank and alpha.
    pub fn scale_of(&self, r: usize, lora_alpha: f64) -> f32 {
        let rank = r as f64;
        (lora_alpha / if self.use_rslora { rank.sqrt() } else { rank }) as f32
    }

    /// What is not plain LoRA with one rank and one scale, by PEFT's name; none where it is plain.
    pub fn beyond_plain(&self) -> Option<&'static str> {
        [
            ("use_dora", self.use_dora),
            ("modules_to_save", !self.modules_to_save.is_empty()),
            ("rank_pattern", !self.rank_pattern.is_empty()),
            ("alpha_pattern", !self.alpha_pattern.is_empty()),
            ("bias", self.bias != TrainedBias::None),
            ("lora_bias", self.lora_bias),
            ("target_parameters", !self.target_parameters.is_empty()),
            ("trainable_token_indices", self.trainable_token_indices.is_some()),
            ("init_lora_weights", self.init_lora_weights.changes_base()),
        ]
        .into_iter()
        .find_map(|(key, set)| set.then_some(key))
    }

    /// That of the same adapter on the whole base, once what it took out of that is subtracted by factors of the same rank
    /// (PEFT's `path_initial_model_for_weight_conversion`): twice the rank and the same scale.
    #[must_use]
    pub fn converted(&self) -> Self {
        let wider = |alpha: f64| alpha * if self.use_rslora { std::f64::consts::SQRT_2 } else { 2.0 };
        let ranks = self.rank_pattern.iter().map(|(key, r)| (key.clone(), r.saturating_mul(2)));
        let alphas = self.alpha_pattern.iter().map(|(key, alpha)| (key.clone(), wider(*alpha)));
        Self {
            r: self.r.saturating_mul(2),
            lora_alpha: wider(self.lora_alpha),
            rank_pattern: ranks.collect(),
            alpha_pattern: alphas.collect(),
            init_lora_weights: InitLoraWeights::Kaiming,
            ..self.clone()
        }
    }

    /// Reads `adapter_config.json`.
    ///
    /// # Errors
    /// `ModelUnsupported` names a key that asks for something that is not implemented; `ConfigInvalid` a value out of range;
    /// `FileMissing`.
    pub fn read(path: &Path) -> Result<Self> {
        let config = ModelConfig::read(path)?;
        refuse_other_features(&config)?;
        let dropout = config.value("lora_dropout").map_or(Some(0.0), Value::as_f64);
        let this = Self {
            base_model_name_or_path: config.optional_string("base_model_name_or_path")?.map(str::to_owned),
            revision: config.optional_string("revision")?.map(str::to_owned),
            r: config.size("r")?,
            lora_alpha: config.positive("lora_alpha")?,
            lora_dropout: read(&config, "lora_dropout", "from 0 to below 1", |_| {
                dropout.filter(|dropout| (0.0..1.0).contains(dropout))
            })?
            .unwrap_or(0.0),
            use_rslora: config.flag("use_rslora", false)?,
            use_dora: config.flag("use_dora", false)?,
            target_modules: names(&config, "target_modules")?.unwrap_or(ModuleNames::Endings(Vec::new())),
            target_parameters: strings(&config, "target_parameters")?,
            exclude_modules: names(&config, "exclude_modules")?
                .filter(|names| !matches!(names, ModuleNames::Endings(list) if list.is_empty())),
            modules_to_save: strings(&config, "modules_to_save")?,
            rank_pattern: pattern(&config, "rank_pattern", "ranks of at least 1", |value| {
                value.as_u64().filter(|r| (1..1 << 31).contains(r)).map(|r| r as usize)
            })?,
            alpha_pattern: pattern(&config, "alpha_pattern", "positive numbers", |value| {
                value.as_f64().filter(|alpha| alpha.is_finite() && *alpha > 0.0)
            })?,
            layers_to_transform: read(&config, "layers_to_transform", "layer indices", |value| match value {
                Value::Array(list) => list.iter().map(index).collect(),
                one => index(one).map(|layer| vec![layer]),
            })?
            .filter(|layers| !layers.is_empty()),
            layers_pattern: strings(&config, "layers_pattern")?,
            bias: trained_bias(&config)?,
            lora_bias: config.flag("lora_bias", false)?,
            init_lora_weights: first_values(&config)?,
            loftq_config: match config.value("loftq_config") {
                Some(value) if value.as_object().is_some_and(|map| !map.is_empty()) => Some(loftq(&config, value)?),
                _ => None,
            },
            trainable_token_indices: read(
                &config,
                "trainable_token_indices",
                "token ids, or lists of them by module",
                TokenIndices::of_json,
            )?,
            ensure_weight_tying: config.flag("ensure_weight_tying", false)?,
        };
        this.contradiction().map_or(Ok(()), |message| Err(config.refuse(Code::ConfigInvalid, message)))?;
        Ok(this)
    }

    /// How the factors begin, with the numbers that are kept beside the name.
    pub fn first_values(&self) -> InitLoraWeights {
        match (self.init_lora_weights, self.loftq_config) {
            (InitLoraWeights::LoftQ(_), Some(loftq)) => InitLoraWeights::LoftQ(loftq.loftq_iter),
            (init, _) => init,
        }
    }

    /// What no adapter can be asked for, whichever way it came about.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let by_pattern = matches!(self.target_modules, ModuleNames::Pattern(_));
        let (layers, lists) = (self.layers_to_transform.is_some(), !self.layers_pattern.is_empty());
        if by_pattern && (layers || lists) {
            let key = if layers { "layers_to_transform" } else { "layers_pattern" };
            let advice = "choose the layers in the regular expression";
            return Some(format!(
                "expected no `{key}` beside a regular expression as target_modules, got both; {advice}"
            ));
        }
        let loftq = self.loftq_config.filter(|_| matches!(self.init_lora_weights, InitLoraWeights::LoftQ(_)));
        if let Some(given) = loftq.filter(|given| given.loftq_bits != 4 || given.loftq_iter == 0) {
            return Some(format!(
                "expected `loftq_config` of 4 bits and at least 1 iteration, got {} and {}; others are not implemented",
                given.loftq_bits, given.loftq_iter
            ));
        }
        // As PEFT's ParamWrapper has it.
        let parts = [
            ("use_dora", self.use_dora),
            ("lora_bias", self.lora_bias),
            ("lora_dropout", self.lora_dropout > 0.0),
            ("init_lora_weights", !self.init_lora_weights.is_drawn()),
        ];
        if let Some((key, _)) = parts.iter().find(|(_, set)| *set && !self.target_parameters.is_empty()) {
            return Some(format!("expected `target_parameters` without `{key}`, got both; leave one of them out"));
        }
        // As PEFT's LoraConfig has it.
        if self.lora_bias && self.use_dora {
            return Some("expected `lora_bias` without `use_dora`, got both; leave one of them out".to_owned());
        }
        let plain = matches!(self.init_lora_weights, InitLoraWeights::Kaiming | InitLoraWeights::Random);
        if self.lora_bias && !plain {
            let got = self.init_lora_weights.to_json();
            return Some(format!(
                "expected true or false as `init_lora_weights` with `lora_bias`, got {got}; leave one of them out"
            ));
        }
        (lists && !layers).then(|| {
            "expected `layers_to_transform` beside `layers_pattern`, got the latter alone; name the layers".to_owned()
        })
    }

    /// Lets the targets name one module in place of another.
    pub fn adapt_in_place_of(&mut self, old: &str, new: &str) {
        match &mut self.target_modules {
            ModuleNames::AllLinear => {}
            ModuleNames::Pattern(pattern) => *pattern = format!("(?:{pattern}|^{}$)", new.replace('.', "\\.")),
            ModuleNames::Endings(list) => {
                list.retain(|ending| !ends_with(old, ending));
                if !list.iter().any(|ending| ends_with(new, ending)) {
                    list.push(new.to_owned());
                }
            }
        }
    }

    /// Whether a parameter is adapted.
    pub fn targets_parameter(&self, name: &str) -> bool {
        self.target_parameters.iter().any(|target| ends_with(name, target))
    }

    /// Under which path PEFT keeps the factors of a parameter of the module `experts`: those of the second of two are around those of
    /// the first.
    pub fn path_of_parameter(&self, experts: &str, parameter: &str) -> String {
        let both = EXPERT_PARAMETERS.iter().all(|name| self.targets_parameter(&format!("{experts}.{name}")));
        let is_inner = both && EXPERT_PARAMETERS.first() == Some(&parameter);
        format!("{experts}{}", if is_inner { BASE_LAYER } else { "" })
    }

    /// The parameter whose factors lie under a path; None where those are a module's.
    pub(super) fn parameter_at(&self, path: &str) -> Option<String> {
        let experts = path.strip_suffix(BASE_LAYER).unwrap_or(path);
        let name = EXPERT_PARAMETERS.into_iter().find(|name| {
            self.targets_parameter(&format!("{experts}.{name}")) && self.path_of_parameter(experts, name) == path
        })?;
        Some(format!("{experts}.{name}"))
    }

    pub(crate) fn to_json(&self) -> Value {
        // PEFT's own files hold whole numbers as integers.
        let number = |value: f64| {
            let whole = value.fract() == 0.0 && value.abs() < 1e15;
            if whole { json!(value as u64) } else { json!(value) }
        };
        let ranks: Map<String, Value> = self.rank_pattern.iter().map(|(key, r)| (key.clone(), json!(r))).collect();
        let alphas: Map<String, Value> =
            self.alpha_pattern.iter().map(|(key, alpha)| (key.clone(), number(*alpha))).collect();
        let list = |names: &[String]| if names.is_empty() { Value::Null } else { json!(names) };
        json!({
            "alpha_pattern": alphas,
            "auto_mapping": null,
            "base_model_name_or_path": self.base_model_name_or_path,
            "bias": self.bias.name(),
            "ensure_weight_tying": self.ensure_weight_tying,
            "exclude_modules": self.exclude_modules.as_ref().map(shown_names),
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": self.init_lora_weights.to_json(),
            "layers_pattern": list(&self.layers_pattern),
            "layers_to_transform": self.layers_to_transform,
            "loftq_config": match self.first_values() {
                InitLoraWeights::LoftQ(iterations) => json!({ "loftq_bits": 4, "loftq_iter": iterations }),
                _ => json!({}),
            },
            "lora_alpha": number(self.lora_alpha),
            "lora_bias": self.lora_bias,
            "lora_dropout": self.lora_dropout,
            "modules_to_save": list(&self.modules_to_save),
            "peft_type": "LORA",
            "r": self.r,
            "rank_pattern": ranks,
            "revision": self.revision,
            "target_modules": shown_names(&self.target_modules),
            "target_parameters": list(&self.target_parameters),
            "task_type": "CAUSAL_LM",
            "trainable_token_indices": self.trainable_token_indices.as_ref().map(TokenIndices::to_json),
            "use_dora": self.use_dora,
            "use_rslora": self.use_rslora,
        })
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

fn shown_names(names: &ModuleNames) -> Value {
    match names {
        ModuleNames::AllLinear => json!("all-linear"),
        ModuleNames::Endings(list) => json!(sorted(list.clone())),
        ModuleNames::Pattern(pattern) => json!(pattern),
    }
}

fn index(value: &Value) -> Option<usize> {
    value.as_u64().filter(|layer| *layer < 1 << 31).map(|layer| layer as usize)
}

fn read<T>(
    config: &ModelConfig,
    key: &str,
    expected: &str,
    parse: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>> {
    let Some(value) = config.value(key) else { return Ok(None) };
    match parse(value) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(config.refuse(
            Code::ConfigInvalid,
            format!("expected `{key}` with {expected}, got {}; correct it", shown(value)),
        )),
    }
}

/// A list of strings, or one alone.
fn strings(config: &ModelConfig, key: &str) -> Result<Vec<String>> {
    let parse = |value: &Value| match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(list) => list.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    Ok(read(config, key, "a list of strings", parse)?.unwrap_or_default())
}

fn names(config: &ModelConfig, key: &str) -> Result<Option<ModuleNames>> {
    read(config, key, "a list of module names or a regular expression", |value| match value {
        Value::String(text) if text.eq_ignore_ascii_case("all-linear") && key == "target_modules" => {
            Some(ModuleNames::AllLinear)
        }
        Value::String(pattern) => Some(ModuleNames::Pattern(pattern.clone())),
        Value::Array(list) => {
            let list = list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?;
            Some(ModuleNames::Endings(sorted(list)))
        }
        _ => None,
    })
}

fn pattern<T>(
    config: &ModelConfig,
    key: &str,
    expected: &str,
    parse: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<(String, T)>> {
    let parse = |value: &Value| {
        let entries = value.as_object()?.iter();
        entries.map(|(name, value)| parse(value).map(|value| (name.clone(), value))).collect()
    };
    Ok(read(config, key, &format!("{expected} by module name"), parse)?.unwrap_or_default())
}

/// How the factors began. What did so by the data has left nothing in the base.
fn first_values(config: &ModelConfig) -> Result<InitLoraWeights> {
    match config.value("init_lora_weights") {
        None | Some(Value::Bool(true)) => Ok(InitLoraWeights::Kaiming),
        Some(Value::Bool(false)) => Ok(InitLoraWeights::Random),
        Some(value) if value == "eva" => Ok(InitLoraWeights::Kaiming),
        Some(value) => value
            .as_str()
            .and_then(InitLoraWeights::named)
            .ok_or_else(|| config.refuse(Code::ModelUnsupported, not_implemented("init_lora_weights", value))),
    }
}

/// What PEFT keeps of `LoftQ`.
fn loftq(config: &ModelConfig, value: &Value) -> Result<LoftqConfig> {
    let number = |key: &str, default: u32| {
        value.get(key).map_or(Some(default), |number| number.as_u64().and_then(|number| number.try_into().ok()))
    };
    match (number("loftq_bits", 4), number("loftq_iter", 1)) {
        (Some(loftq_bits), Some(loftq_iter)) => Ok(LoftqConfig { loftq_bits, loftq_iter }),
        _ => Err(config.refuse(
            Code::ConfigInvalid,
            format!("expected `loftq_config` with whole numbers, got {}; correct it", shown(value)),
        )),
    }
}

fn trained_bias(config: &ModelConfig) -> Result<TrainedBias> {
    let Some(value) = config.value("bias") else { return Ok(TrainedBias::None) };
    let refused = || config.refuse(Code::ModelUnsupported, not_implemented("bias", value));
    value.as_str().and_then(TrainedBias::named).ok_or_else(refused)
}

fn not_implemented(key: &str, value: &Value) -> String {
    format!("expected an adapter of LoRA or DoRA, got `{key}`: {}; this feature is not implemented", shown(value))
}

fn refuse_other_features(config: &ModelConfig) -> Result<()> {
    for (key, value) in config.as_map() {
        let at_rest = match key.as_str() {
            known if KNOWN.contains(&known) || WITHOUT_EFFECT.contains(&known) => true,
            "peft_type" => value == "LORA",
            _ => match value {
                Value::Null | Value::Bool(false) => true,
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            },
        };
        if !at_rest {
            return Err(config.refuse(Code::ModelUnsupported, not_implemented(key, value)));
        }
    }
    Ok(())
}
