//! Which tensors an adapter's file may hold, and whether they belong together.

use std::collections::BTreeMap;
use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

use super::config::AdapterConfig;
use super::matching::Matcher;
use super::names::{
    B_BIAS_SUFFIX, BASE_BIAS_SUFFIX, BIAS_SUFFIX, FactorKind, MAGNITUDE_SUFFIX, PREFIX, TOKEN_ADAPTER,
    TOKEN_ROWS_SUFFIX,
};
use super::options::TrainedBias;
use super::shapes::{Found, Shapes};

/// The tensors of one module.
pub enum Parts<'a> {
    Lora(Shapes<'a>),
    Saved(Vec<&'a str>),
}

/// What an adapter's file holds, checked.
pub struct Layout<'a> {
    /// By the module's path in the base model.
    pub modules: BTreeMap<&'a str, Parts<'a>>,
    /// Trained biases of the base model: their modules and their names in the file.
    pub biases: BTreeMap<&'a str, &'a str>,
    /// Trained rows of modules of which all other rows stay, likewise.
    pub tokens: BTreeMap<&'a str, &'a str>,
    /// Tensors of the base model: their names there and in the file.
    pub copies: BTreeMap<String, &'a str>,
}

/// What a tensor is to its module.
enum Role<'a> {
    A(FactorKind),
    B(FactorKind),
    Magnitude,
    BBias,
    /// The bias of the module itself.
    Bias,
    /// Trained rows of a module.
    Tokens,
    /// Of a module that is saved whole, by its last name.
    Saved(&'a str),
}

/// What was found of one module.
enum Seen<'a> {
    Factors(Found<'a>),
    Saved(Vec<&'a str>),
}

impl<'a> Layout<'a> {
    /// Checks that every tensor belongs to a module as the configuration says or is the base model's own, that factors come in
    /// pairs and that their shapes fit the rank.
    ///
    /// # Errors
    /// `ModelUnsupported` names a tensor of another kind of adapter, `ConfigInvalid` one that does not fit; `FileInvalid` where
    /// there is none.
    pub fn of(
        path: &Path,
        config: &AdapterConfig,
        shapes: impl Iterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<Self> {
        let refuse = |code, message: String| Error::new(code, path.display().to_string(), message);
        let matcher = Matcher::new(config)?;
        let (mut seen, mut biases, mut copies) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut tokens = BTreeMap::new();
        for (name, shape) in shapes {
            if let Some((module, role)) = role_of(name, &matcher, config.bias) {
                if matches!(role, Role::Bias | Role::Tokens) {
                    if matches!(role, Role::Bias) { &mut biases } else { &mut tokens }.insert(module, name);
                    continue;
                }
                add(&mut seen, module, role, shape).map_err(|message| refuse(Code::ConfigInvalid, message))?;
            } else if let Some(base) = copy_of(name) {
                copies.insert(base, name);
            } else {
                let [a, b] = FactorKind::Linear.suffixes();
                let message = format!(
                    "expected {PREFIX}…{a}, …{b} or a tensor of modules_to_save, got `{name}`; this kind of adapter is \
                     not implemented"
                );
                return Err(refuse(Code::ModelUnsupported, message));
            }
        }
        if seen.is_empty() {
            let message = "expected the tensors of an adapter, got none; save or download the adapter again";
            return Err(refuse(Code::FileInvalid, message.to_owned()));
        }
        let mut modules = BTreeMap::new();
        for (module, seen) in seen {
            let parts = match seen {
                Seen::Saved(names) => Parts::Saved(names),
                Seen::Factors(found) => {
                    let parameter = config.parameter_at(module);
                    let (rank, _) = matcher.rank_and_scale(parameter.as_deref().unwrap_or(module))?;
                    let checked = found.check(module, rank, config.use_dora, config.lora_bias, parameter.is_some());
                    let shapes = checked.map_err(|message| refuse(Code::ConfigInvalid, message))?;
                    if config.use_dora && shapes.kind == FactorKind::Embedding {
                        let message = format!("expected LoRA on `{module}`, got DoRA; this is not implemented");
                        return Err(refuse(Code::ModelUnsupported, message));
                    }
                    Parts::Lora(shapes)
                }
            };
            modules.insert(module, parts);
        }
        Ok(Self { modules, biases, tokens, copies })
    }
}

fn add<'a>(
    seen: &mut BTreeMap<&'a str, Seen<'a>>,
    module: &'a str,
    role: Role<'a>,
    shape: &'a [usize],
) -> std::result::Result<(), String> {
    let saved = matches!(role, Role::Saved(_));
    let empty = || if saved { Seen::Saved(Vec::new()) } else { Seen::Factors(Found::default()) };
    match (seen.entry(module).or_insert_with(empty), role) {
        (Seen::Factors(found), Role::A(kind)) => found.a = Some((kind, shape)),
        (Seen::Factors(found), Role::B(kind)) => found.b = Some((kind, shape)),
        (Seen::Factors(found), Role::BBias) => found.bias = Some(shape),
        (Seen::Factors(found), Role::Magnitude) => found.magnitude = Some(shape),
        (Seen::Saved(names), Role::Saved(name)) => names.push(name),
        _ => return Err(format!("expected `{module}` either adapted or saved whole, got both; correct the file")),
    }
    Ok(())
}

/// The name in the base model of a tensor that PEFT has copied from there: what lies under the factors, and head and embedding,
/// which it saves where one of them has factors or the vocabulary was resized.
fn copy_of(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    match rest.rsplit_once(".base_layer.") {
        Some((module, part)) => Some(format!("{}.{part}", module.strip_suffix(TOKEN_ADAPTER).unwrap_or(module))),
        None => {
            ["lm_head.weight", "embed_tokens.weight"].iter().any(|end| rest.ends_with(end)).then(|| rest.to_owned())
        }
    }
}

/// The module of a tensor's name, and what the tensor is to it.
fn role_of<'a>(name: &'a str, matcher: &Matcher<'_>, trained: TrainedBias) -> Option<(&'a str, Role<'a>)> {
    let rest = name.strip_prefix(PREFIX)?;
    if let Some(module) = rest.strip_suffix(B_BIAS_SUFFIX) {
        return Some((module, Role::BBias));
    }
    if let Some(module) = rest.strip_suffix(TOKEN_ROWS_SUFFIX) {
        return Some((module, Role::Tokens));
    }
    if let Some(module) = rest.strip_suffix(BASE_BIAS_SUFFIX).filter(|_| trained.includes(true)) {
        return Some((module, Role::Bias));
    }
    for kind in FactorKind::ALL {
        let [a, b] = kind.suffixes();
        for (suffix, role) in [(a, Role::A(kind)), (b, Role::B(kind)), (MAGNITUDE_SUFFIX, Role::Magnitude)] {
            if let Some(module) = rest.strip_suffix(suffix) {
                return Some((module, role));
            }
        }
    }
    let (module, part) = rest.rsplit_once('.')?;
    let own_bias = rest.strip_suffix(BIAS_SUFFIX).filter(|module| trained.includes(false) && !matcher.is_saved(module));
    if let Some(module) = own_bias {
        return Some((module, Role::Bias));
    }
    let is_saved = !rest.contains(".lora_") && !rest.contains(".base_layer.") && matcher.is_saved(module);
    is_saved.then_some((module, Role::Saved(part)))
}
