//! Which tensors an adapter's file may hold, and whether they belong together.

use std::collections::BTreeMap;
use std::path::Path;

use tunesmith_ops::{Code, Error, Result};

use super::config::AdapterConfig;
use super::matching::Matcher;
use super::names::{A_SUFFIX, B_SUFFIX, MAGNITUDE_SUFFIX, PREFIX};

/// The shapes of one module's tensors.
pub enum Parts<'a> {
    Lora { a: Option<&'a [usize]>, b: Option<&'a [usize]>, magnitude: Option<&'a [usize]> },
    Saved(Vec<&'a str>),
}

/// What an adapter's file holds, checked.
pub struct Layout<'a> {
    /// By the module's path in the base model.
    pub modules: BTreeMap<&'a str, Parts<'a>>,
    /// Tensors of the base model: their names there and in the file.
    pub copies: BTreeMap<String, &'a str>,
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
        let mut this = Self { modules: BTreeMap::new(), copies: BTreeMap::new() };
        for (name, shape) in shapes {
            if let Some((module, suffix)) = split(name, &matcher) {
                this.add(module, suffix, shape).map_err(|message| refuse(Code::ConfigInvalid, message))?;
            } else if let Some(base) = copy_of(name) {
                this.copies.insert(base, name);
            } else {
                let message = format!(
                    "expected {PREFIX}…{A_SUFFIX}, …{B_SUFFIX} or a tensor of modules_to_save, got `{name}`; \
                     this kind of adapter is not implemented"
                );
                return Err(refuse(Code::ModelUnsupported, message));
            }
        }
        if this.modules.is_empty() {
            let message = "expected the tensors of an adapter, got none; save or download the adapter again";
            return Err(refuse(Code::FileInvalid, message.to_owned()));
        }
        for (module, parts) in &this.modules {
            if let Parts::Lora { a, b, magnitude } = parts {
                let (rank, _) = matcher.rank_and_scale(module)?;
                let problem = misfit(module, rank, config.use_dora, *a, *b, *magnitude);
                problem.map_or(Ok(()), |message| Err(refuse(Code::ConfigInvalid, message)))?;
            }
        }
        Ok(this)
    }

    fn add(&mut self, module: &'a str, suffix: &'a str, shape: &'a [usize]) -> std::result::Result<(), String> {
        let lora = suffix.starts_with(".lora_");
        let empty = if lora { Parts::Lora { a: None, b: None, magnitude: None } } else { Parts::Saved(Vec::new()) };
        match (self.modules.entry(module).or_insert(empty), lora) {
            (Parts::Lora { a, b, magnitude }, true) => {
                let slot = match suffix {
                    A_SUFFIX => a,
                    B_SUFFIX => b,
                    _ => magnitude,
                };
                *slot = Some(shape);
                Ok(())
            }
            (Parts::Saved(names), false) => {
                names.push(suffix.trim_start_matches('.'));
                Ok(())
            }
            _ => Err(format!("expected `{module}` either adapted or saved whole, got both; correct the file")),
        }
    }
}

/// The name in the base model of a tensor that PEFT has copied from there: what lies under the factors, and head and embedding,
/// which it saves where one of them has factors or the vocabulary was resized.
fn copy_of(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    match rest.rsplit_once(".base_layer.") {
        Some((module, part)) => Some(format!("{module}.{part}")),
        None => {
            ["lm_head.weight", "embed_tokens.weight"].iter().any(|end| rest.ends_with(end)).then(|| rest.to_owned())
        }
    }
}

/// Module and suffix of a tensor's name.
fn split<'a>(name: &'a str, matcher: &Matcher<'_>) -> Option<(&'a str, &'a str)> {
    let rest = name.strip_prefix(PREFIX)?;
    for suffix in [A_SUFFIX, B_SUFFIX, MAGNITUDE_SUFFIX] {
        if let Some(module) = rest.strip_suffix(suffix) {
            return Some((module, suffix));
        }
    }
    let (module, _) = rest.rsplit_once('.')?;
    let is_saved = !rest.contains(".lora_") && !rest.contains(".base_layer.") && matcher.is_saved(module);
    is_saved.then(|| rest.split_at(module.len()))
}

fn misfit(
    module: &str,
    rank: usize,
    dora: bool,
    a: Option<&[usize]>,
    b: Option<&[usize]>,
    magnitude: Option<&[usize]>,
) -> Option<String> {
    let (Some(a), Some(b)) = (a, b) else {
        return Some(format!("expected lora_A and lora_B of `{module}`, got one of them; the adapter is not whole"));
    };
    let wrong = |name: &str, expected: &str, shape: &[usize]| {
        Some(format!(
            "expected shape {expected} with r = {rank} in {name} of `{module}`, got {shape:?}; \
             the adapter contradicts its configuration"
        ))
    };
    let inside = |shape: &[usize]| shape.iter().all(|&size| size > 0);
    if !matches!(a, [r, _] if *r == rank) || !inside(a) {
        return wrong("lora_A", "[r, in]", a);
    }
    let Some(out) = b.first().copied().filter(|_| matches!(b, [_, r] if *r == rank) && inside(b)) else {
        return wrong("lora_B", "[out, r]", b);
    };
    match (dora, magnitude) {
        (true, Some(shape)) if shape != [out] => wrong("lora_magnitude_vector", "[out]", shape),
        (true, None) | (false, Some(_)) => {
            let got = if dora { "none" } else { "one" };
            let key = format!("use_dora {dora}");
            Some(format!(
                "expected the lora_magnitude_vector of `{module}` to go with {key}, got {got}; correct the file"
            ))
        }
        _ => None,
    }
}
