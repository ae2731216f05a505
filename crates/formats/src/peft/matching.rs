//! Which modules an adapter is on, and with which rank and scale: PEFT's rules, name by name
//! (`check_target_module_exists`, `get_pattern_key`, `_set_trainable` of PEFT 0.21).

use fancy_regex::Regex;
use tunesmith_ops::{Code, Error, Result};

use super::config::AdapterConfig;
use super::names::ends_with;
use super::options::ModuleNames;

/// What an adapter does to a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The module is adapted.
    Adapted,
    /// It would be, but for `exclude_modules` or `modules_to_save`.
    Excluded,
    /// It is left alone.
    Untouched,
}

/// An adapter's configuration with its regular expressions compiled.
#[derive(Debug)]
pub struct Matcher<'a> {
    config: &'a AdapterConfig,
    targets: Option<Regex>,
    excluded: Option<Regex>,
    saved: Vec<Regex>,
    layers: Vec<Regex>,
    ranks: Vec<(Regex, usize)>,
    alphas: Vec<(Regex, f64)>,
}

impl<'a> Matcher<'a> {
    /// Compiles what a configuration holds.
    ///
    /// # Errors
    /// `ConfigInvalid` names an invalid regular expression, and options that contradict each other.
    pub fn new(config: &'a AdapterConfig) -> Result<Self> {
        if let Some(message) = config.contradiction() {
            return Err(Error::new(Code::ConfigInvalid, "adapter", message));
        }
        let whole = |key: &str, names: Option<&ModuleNames>| match names {
            Some(ModuleNames::Pattern(pattern)) => compile(key, pattern, &format!(r"\A(?:{pattern})\z")).map(Some),
            _ => Ok(None),
        };
        let ending = |key: &str, pattern: &str| compile(key, pattern, &format!(r"\A(?:.*\.)?(?:{pattern})\z"));
        let saved = |name: &String| compile("modules_to_save", name, &format!(r"\A(?:|.*\.){name}(?:\z|\.)"));
        let layers = if config.layers_pattern.is_empty() {
            // The first number after a name that has something before it.
            vec![compile("layers_pattern", "", r"\A.*?\.[^.]*\.(\d+)\.")?]
        } else {
            let list = |name: &String| compile("layers_pattern", name, &format!(r"\A(?:|.*?\.){name}\.(\d+)\."));
            config.layers_pattern.iter().map(list).collect::<Result<_>>()?
        };
        Ok(Self {
            targets: whole("target_modules", Some(&config.target_modules))?,
            excluded: whole("exclude_modules", config.exclude_modules.as_ref())?,
            saved: config.modules_to_save.iter().map(saved).collect::<Result<_>>()?,
            layers,
            ranks: config
                .rank_pattern
                .iter()
                .map(|(key, r)| Ok((ending("rank_pattern", key)?, *r)))
                .collect::<Result<_>>()?,
            alphas: config
                .alpha_pattern
                .iter()
                .map(|(key, alpha)| Ok((ending("alpha_pattern", key)?, *alpha)))
                .collect::<Result<_>>()?,
            config,
        })
    }

    /// What happens to the module of a name. `is_linear` is true for linear layers other than the output head: what
    /// `all-linear` means.
    ///
    /// # Errors
    /// `ConfigInvalid` when a regular expression takes too long.
    pub fn choice(&self, name: &str, is_linear: bool) -> Result<Choice> {
        let (named, whole_name) = match &self.config.target_modules {
            ModuleNames::AllLinear => (is_linear, false),
            ModuleNames::Pattern(_) => (matches(self.targets.as_ref(), name)?, true),
            ModuleNames::Endings(list) => {
                (list.iter().any(|ending| ends_with(name, ending)), list.iter().any(|full| full == name))
            }
        };
        // Of a full name the layer is known.
        if !named || !(whole_name || self.in_chosen_layer(name)?) {
            return Ok(Choice::Untouched);
        }
        let by_name = match &self.config.exclude_modules {
            Some(ModuleNames::Endings(list)) => list.iter().any(|ending| ends_with(name, ending)),
            _ => false,
        };
        let mut excluded = by_name || matches(self.excluded.as_ref(), name)?;
        for saved in &self.saved {
            excluded = excluded || matches(Some(saved), name)?;
        }
        Ok(if excluded { Choice::Excluded } else { Choice::Adapted })
    }

    fn in_chosen_layer(&self, name: &str) -> Result<bool> {
        let Some(layers) = &self.config.layers_to_transform else { return Ok(true) };
        for pattern in &self.layers {
            let found = pattern.captures(name).map_err(|error| too_hard(pattern, &error))?;
            if let Some(index) = found.and_then(|found| found.get(1)?.as_str().parse().ok()) {
                return Ok(layers.contains(&index));
            }
        }
        Ok(false)
    }

    /// Rank and scale of an adapted module.
    ///
    /// # Errors
    /// `ConfigInvalid` when a regular expression takes too long.
    pub fn rank_and_scale(&self, name: &str) -> Result<(usize, f32)> {
        let r = first(&self.ranks, name)?.unwrap_or(self.config.r);
        let alpha = first(&self.alphas, name)?.unwrap_or(self.config.lora_alpha);
        Ok((r, self.config.scale_of(r, alpha)))
    }

    /// Whether a module is trained as a whole: its name, or that of a module it is part of, ends in one of
    /// `modules_to_save`. PEFT asks for no dot before the ending.
    pub fn is_saved(&self, name: &str) -> bool {
        let ends = name.match_indices('.').map(|(dot, _)| dot).chain([name.len()]);
        ends.into_iter()
            .any(|end| self.config.modules_to_save.iter().any(|ending| name[..end].ends_with(ending.as_str())))
    }
}

fn first<T: Copy>(patterns: &[(Regex, T)], name: &str) -> Result<Option<T>> {
    for (pattern, value) in patterns {
        if matches(Some(pattern), name)? {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

fn matches(pattern: Option<&Regex>, name: &str) -> Result<bool> {
    pattern.map_or(Ok(false), |pattern| pattern.is_match(name).map_err(|error| too_hard(pattern, &error)))
}

fn compile(key: &str, shown: &str, pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|error| {
        let message = format!("expected a regular expression, got {shown:?} ({error}); correct it");
        Error::new(Code::ConfigInvalid, key, message)
    })
}

fn too_hard(pattern: &Regex, error: &fancy_regex::Error) -> Error {
    let message =
        format!("expected a regular expression that ends, got {:?} ({error}); make it simpler", pattern.as_str());
    Error::new(Code::ConfigInvalid, "adapter", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: &str = "model.layers.3.self_attn.q_proj";

    fn list(names: &[&str]) -> ModuleNames {
        ModuleNames::Endings(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn choice(config: &AdapterConfig, name: &str) -> Choice {
        Matcher::new(config).unwrap().choice(name, name != "lm_head").unwrap()
    }

    #[test]
    fn endings_match_at_dots_and_expressions_match_whole_names() {
        let of = |target_modules| AdapterConfig { target_modules, ..AdapterConfig::default() };
        assert_eq!(choice(&of(list(&["q_proj"])), Q), Choice::Adapted);
        assert_eq!(choice(&of(list(&["self_attn.q_proj"])), Q), Choice::Adapted);
        assert_eq!(choice(&of(list(&["_proj"])), Q), Choice::Untouched);
        assert_eq!(choice(&of(ModuleNames::AllLinear), "lm_head"), Choice::Untouched);
        let pattern = |text: &str| of(ModuleNames::Pattern(text.to_owned()));
        assert_eq!(choice(&pattern(r".*\.[23]\..*(q|v)_proj"), Q), Choice::Adapted);
        assert_eq!(choice(&pattern("q_proj"), Q), Choice::Untouched, "not the whole name");
        assert_eq!(choice(&pattern(r"(?!.*mlp).*_proj"), Q), Choice::Adapted, "lookahead, as in Python");
        let error = Matcher::new(&pattern("(")).unwrap_err();
        assert!(error.code == Code::ConfigInvalid && error.place == "target_modules", "{error}");
    }

    #[test]
    fn excluded_and_saved_modules_are_not_adapted() {
        let config = AdapterConfig { exclude_modules: Some(list(&["q_proj"])), ..AdapterConfig::default() };
        assert_eq!(choice(&config, Q), Choice::Excluded);
        assert_eq!(choice(&config, "model.layers.3.self_attn.k_proj"), Choice::Adapted);
        let pattern = ModuleNames::Pattern(r".*layers\.3\..*".to_owned());
        let config = AdapterConfig { exclude_modules: Some(pattern), ..AdapterConfig::default() };
        assert_eq!(choice(&config, Q), Choice::Excluded);
        let config = AdapterConfig { modules_to_save: vec!["self_attn".to_owned()], ..AdapterConfig::default() };
        assert_eq!(choice(&config, Q), Choice::Excluded, "inside a module that is saved");
        let matcher = Matcher::new(&config).unwrap();
        assert!(matcher.is_saved(Q) && !matcher.is_saved("model.layers.3.mlp.up_proj"));
        let config = AdapterConfig { modules_to_save: vec!["norm".to_owned()], ..AdapterConfig::default() };
        let matcher = Matcher::new(&config).unwrap();
        assert!(matcher.is_saved("model.norm") && matcher.is_saved("model.layers.0.input_layernorm"), "no dot needed");
    }

    #[test]
    fn layers_are_chosen_by_the_first_number_or_by_a_named_list() {
        let layers = |indices: &[usize], lists: &[&str]| AdapterConfig {
            layers_to_transform: Some(indices.to_vec()),
            layers_pattern: lists.iter().map(|name| (*name).to_owned()).collect(),
            target_modules: list(&["q_proj"]),
            ..AdapterConfig::default()
        };
        assert_eq!(choice(&layers(&[1, 3], &[]), Q), Choice::Adapted);
        assert_eq!(choice(&layers(&[1], &[]), Q), Choice::Untouched);
        assert_eq!(choice(&layers(&[3], &["layers"]), Q), Choice::Adapted);
        assert_eq!(choice(&layers(&[3], &["h", "layers"]), Q), Choice::Adapted);
        assert_eq!(choice(&layers(&[3], &["h"]), Q), Choice::Untouched);
        assert_eq!(choice(&layers(&[5], &[]), "model.layers.5.experts.3.q_proj"), Choice::Adapted, "not the expert's");
        let named = AdapterConfig { target_modules: list(&[Q]), ..layers(&[1], &[]) };
        assert_eq!(choice(&named, Q), Choice::Adapted, "a full name is taken as it is");
        let pattern = AdapterConfig { target_modules: ModuleNames::Pattern(".*".to_owned()), ..layers(&[1], &[]) };
        assert_eq!(Matcher::new(&pattern).unwrap_err().code, Code::ConfigInvalid);
        let alone = AdapterConfig { layers_to_transform: None, ..layers(&[1], &["layers"]) };
        assert_eq!(Matcher::new(&alone).unwrap_err().code, Code::ConfigInvalid);
    }

    #[test]
    fn the_first_pattern_that_matches_gives_rank_and_alpha() {
        let config = AdapterConfig {
            r: 8,
            lora_alpha: 16.0,
            rank_pattern: vec![(r"layers\.3\.self_attn\.q_proj".to_owned(), 2), ("q_proj".to_owned(), 4)],
            alpha_pattern: vec![("(q|k)_proj".to_owned(), 6.0)],
            ..AdapterConfig::default()
        };
        let matcher = Matcher::new(&config).unwrap();
        assert_eq!(matcher.rank_and_scale(Q).unwrap(), (2, 3.0));
        assert_eq!(matcher.rank_and_scale("model.layers.2.self_attn.q_proj").unwrap(), (4, 1.5));
        assert_eq!(matcher.rank_and_scale("model.layers.2.self_attn.k_proj").unwrap(), (8, 0.75));
        assert_eq!(matcher.rank_and_scale("model.layers.2.mlp.up_proj").unwrap(), (8, 2.0));
        assert_eq!(matcher.rank_and_scale("model.layers.2.mlp.xq_proj").unwrap(), (8, 2.0), "after a dot only");
    }
}
