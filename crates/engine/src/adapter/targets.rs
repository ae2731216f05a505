//! A new adapter: its options, the modules it is put on, and its first values.

use tunesmith_formats::{AdapterConfig, Choice, EXPERT_PARAMETERS, InitLoraWeights, Matcher, ModuleNames};
use tunesmith_ops::{Code, Error, Result};

use super::candidate::{Candidate, CandidateKind};
use super::idle::{nearest, refuse_idle};

/// What a new adapter does to the modules of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Indices of the adapted modules.
    pub adapted: Vec<usize>,
    /// Indices of the modules that are fully trained.
    pub saved: Vec<usize>,
}

/// Checks the numbers of a new adapter and applies its choice of modules.
///
/// # Errors
/// `ArgumentInvalid` when a number is out of range or a name matches nothing; `ConfigInvalid` for an invalid
/// regular expression; `ModelUnsupported` for a target that takes no factors.
pub fn targets(config: &AdapterConfig, all: &[Candidate]) -> Result<Targets> {
    check(config)?;
    if let ModuleNames::Endings(endings) = &config.target_modules {
        let known = |ending: &&String| {
            let alone = AdapterConfig {
                target_modules: ModuleNames::Endings(vec![(*ending).clone()]),
                ..AdapterConfig::default()
            };
            let matcher = Matcher::new(&alone)?;
            let mut any = false;
            for module in all {
                any = any || matcher.choice(&module.name, false)? == Choice::Adapted;
            }
            Ok::<_, Error>(any)
        };
        for ending in endings {
            if !known(&ending)? {
                return Err(no_match("lora.targetModules", ending, all));
            }
        }
    }
    let matcher = Matcher::new(config)?;
    let is_saved = |index: &usize| all[*index].kind != CandidateKind::Experts && matcher.is_saved(&all[*index].name);
    let saved: Vec<usize> = (0..all.len()).filter(is_saved).collect();
    let parameters = parameters(config, all)?;
    for ending in &config.modules_to_save {
        let alone = AdapterConfig { modules_to_save: vec![ending.clone()], ..AdapterConfig::default() };
        let alone = Matcher::new(&alone)?;
        if !all.iter().any(|module| alone.is_saved(&module.name)) {
            return Err(no_match("lora.modulesToSave", ending, all));
        }
    }
    let (mut adapted, mut excluded) = (Vec::new(), false);
    for (index, module) in all.iter().enumerate() {
        match matcher.choice(&module.name, module.is_inner_linear())? {
            Choice::Adapted => {
                check_target(config, module)?;
                adapted.push(index);
            }
            Choice::Excluded => excluded = true,
            Choice::Untouched => {}
        }
    }
    let none_asked = matches!(&config.target_modules, ModuleNames::Endings(list) if list.is_empty());
    if adapted.is_empty() && (parameters.is_empty() || !none_asked) {
        return Err(match &config.target_modules {
            _ if excluded => none_left("excludeModules and modulesToSave leave", "exclude fewer modules"),
            _ if config.layers_to_transform.is_some() => {
                none_left("layersToTransform leaves", "layers are counted from 0")
            }
            ModuleNames::Pattern(pattern) => no_match("lora.targetModules", pattern, all),
            _ => no_match("lora.targetModules", "", all),
        });
    }
    let adapted_names = adapted.iter().map(|index| all[*index].name.clone());
    refuse_idle(config, all, &adapted_names.chain(parameters).collect::<Vec<_>>())?;
    Ok(Targets { adapted, saved })
}

/// Refuses a target that takes no factors, or none of the kind that is asked for.
pub(super) fn check_target(config: &AdapterConfig, module: &Candidate) -> Result<()> {
    let is_embedding = module.kind == CandidateKind::Embedding;
    if !module.is_adaptable() {
        Err(no_factors(&module.name))
    } else if config.use_dora && is_embedding {
        Err(no_dora(&module.name))
    } else if config.lora_bias && is_embedding {
        Err(no_b_bias(&module.name))
    } else if is_embedding && matches!(config.init_lora_weights, InitLoraWeights::LoftQ(_)) {
        Err(no_loftq(&module.name))
    } else {
        Ok(())
    }
}

/// The parameters of experts that are adapted, each of which an entry must name.
fn parameters(config: &AdapterConfig, all: &[Candidate]) -> Result<Vec<String>> {
    let experts = all.iter().filter(|module| module.kind == CandidateKind::Experts);
    let names: Vec<String> =
        experts.flat_map(|module| EXPERT_PARAMETERS.map(|name| format!("{}.{name}", module.name))).collect();
    for target in &config.target_parameters {
        let alone = AdapterConfig { target_parameters: vec![target.clone()], ..AdapterConfig::default() };
        if !names.iter().any(|name| alone.targets_parameter(name)) {
            let expected = match names.first() {
                Some(first) => format!("parameters of experts, such as {first} or mlp.experts.down_proj"),
                None => "nothing, for this model has no experts".to_owned(),
            };
            return Err(Error::argument("lora.targetParameters", expected, format!("{target:?}")));
        }
    }
    Ok(names.into_iter().filter(|name| config.targets_parameter(name)).collect())
}

fn check(config: &AdapterConfig) -> Result<()> {
    let ranks = config.rank_pattern.iter().map(|(_, r)| *r);
    if let Some(r) = ranks.chain([config.r]).find(|r| *r == 0) {
        return Err(Error::argument("lora.r", "a rank of at least 1", r));
    }
    if config.init_lora_weights == InitLoraWeights::Orthogonal {
        let ranks = config.rank_pattern.iter().map(|(_, r)| *r);
        if let Some(r) = ranks.chain([config.r]).find(|r| r % 2 == 1) {
            let got =
                format!("{r} with initLoraWeights \"orthogonal\"; choose an even rank, or another initLoraWeights");
            return Err(Error::argument("lora.r", "an even rank", got));
        }
    }
    let alphas = config.alpha_pattern.iter().map(|(_, alpha)| *alpha);
    if let Some(alpha) = alphas.chain([config.lora_alpha]).find(|alpha| !alpha.is_finite()) {
        return Err(Error::argument("lora.loraAlpha", "a finite number", alpha));
    }
    if !(0.0..1.0).contains(&config.lora_dropout) {
        return Err(Error::argument("lora.loraDropout", "a number from 0 to below 1", config.lora_dropout));
    }
    Ok(())
}

fn none_left(what: &str, advice: &str) -> Error {
    let message = format!("expected modules to adapt, but {what} none of the targets; {advice}");
    Error::new(Code::ArgumentInvalid, "lora.targetModules", message)
}

fn no_factors(name: &str) -> Error {
    let message = format!(
        "expected linear layers or the embedding, got {name:?}; leave it out, or train it whole with modulesToSave"
    );
    Error::new(Code::ModelUnsupported, "lora.targetModules", message)
}

fn no_dora(name: &str) -> Error {
    let message = format!(
        "expected linear layers with useDora, got {name:?}; set useDora to false, or train it whole with modulesToSave"
    );
    Error::new(Code::ModelUnsupported, "lora.targetModules", message)
}

fn no_loftq(name: &str) -> Error {
    let message =
        format!("expected linear layers with initLoraWeights loftq, got {name:?}; leave it out, or begin otherwise");
    Error::new(Code::ModelUnsupported, "lora.targetModules", message)
}

fn no_b_bias(name: &str) -> Error {
    let message = format!("expected linear layers with loraBias, got {name:?}; set loraBias to false, or leave it out");
    Error::new(Code::ModelUnsupported, "lora.targetModules", message)
}

fn no_match(place: &str, given: &str, all: &[Candidate]) -> Error {
    let adaptable_only = place.ends_with("targetModules");
    let chosen = all.iter().filter(|module| module.is_adaptable() || !adaptable_only);
    let mut endings: Vec<&str> = chosen.filter_map(|module| module.name.rsplit('.').next()).collect();
    endings.sort_unstable();
    endings.dedup();
    let choices = if adaptable_only { ", \"all-linear\" or a regular expression of whole names" } else { "" };
    let advice =
        nearest(given, &endings).map_or("choose from these names".to_owned(), |name| format!("did you mean {name:?}?"));
    let names = endings.join(", ");
    Error::new(
        Code::ArgumentInvalid,
        place,
        format!("expected endings of module names ({names}){choices}, got {given:?}, which matches nothing; {advice}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: &str = "model.layers.0.self_attn.q_proj";

    fn all() -> Vec<Candidate> {
        let candidate = |name: &str, kind| Candidate { name: name.to_owned(), kind };
        vec![
            candidate("model.embed_tokens", CandidateKind::Embedding),
            candidate(Q, CandidateKind::Linear),
            candidate("model.layers.0.mlp.up_proj", CandidateKind::Linear),
            candidate("model.layers.1.self_attn.q_proj", CandidateKind::Linear),
            candidate("model.norm", CandidateKind::Norm),
            candidate("lm_head", CandidateKind::Head),
        ]
    }

    fn endings(names: &[&str]) -> ModuleNames {
        ModuleNames::Endings(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn resolve(config: AdapterConfig) -> Result<Targets> {
        super::targets(&config, &all())
    }

    fn targets(target_modules: ModuleNames) -> Result<Vec<usize>> {
        resolve(AdapterConfig { target_modules, ..AdapterConfig::default() }).map(|targets| targets.adapted)
    }

    #[test]
    fn all_linear_leaves_head_and_embedding_out() {
        assert_eq!(targets(ModuleNames::AllLinear).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn what_matches_nothing_or_takes_no_factors_is_refused_by_name() {
        assert_eq!(targets(endings(&["q_proj"])).unwrap(), [1, 3]);
        assert_eq!(targets(endings(&["lm_head"])).unwrap(), [5]);
        let message = targets(endings(&["q_proj", "p_proj"])).unwrap_err().to_string();
        assert!(message.contains("q_proj") && message.contains("p_proj"), "{message}");
        let message = targets(ModuleNames::Pattern("q_proj".to_owned())).unwrap_err().to_string();
        assert!(message.contains("whole names"), "{message}");
        assert_eq!(targets(endings(&["embed_tokens", "q_proj"])).unwrap(), [0, 1, 3]);
        assert_eq!(targets(endings(&["norm"])).unwrap_err().code, Code::ModelUnsupported);
        let dora = AdapterConfig {
            use_dora: true,
            target_modules: endings(&["embed_tokens", "q_proj"]),
            ..AdapterConfig::default()
        };
        let error = resolve(dora).unwrap_err();
        assert!(error.code == Code::ModelUnsupported && error.message.contains("useDora"), "{error}");
        let save = |name: &str| AdapterConfig { modules_to_save: vec![name.to_owned()], ..AdapterConfig::default() };
        assert_eq!(resolve(save("embed_tokens")).unwrap().saved, [0]);
        let message = resolve(save("embed_token")).unwrap_err().to_string();
        assert!(message.contains("embed_tokens") && message.contains("modulesToSave"), "{message}");
        let excluded = AdapterConfig {
            target_modules: endings(&["q_proj"]),
            exclude_modules: Some(endings(&["q_proj"])),
            ..AdapterConfig::default()
        };
        assert!(resolve(excluded).unwrap_err().message.contains("excludeModules"));
        let layers = AdapterConfig { layers_to_transform: Some(vec![7]), ..AdapterConfig::default() };
        assert!(resolve(layers).unwrap_err().message.contains("layersToTransform"));
    }

    #[test]
    fn entries_that_would_do_nothing_are_refused_with_the_nearest_name() {
        let ranks = |key: &str| AdapterConfig { rank_pattern: vec![(key.to_owned(), 4)], ..AdapterConfig::default() };
        let alphas =
            |key: &str| AdapterConfig { alpha_pattern: vec![(key.to_owned(), 4.0)], ..AdapterConfig::default() };
        let exclude = |names| AdapterConfig { exclude_modules: Some(names), ..AdapterConfig::default() };
        let layers = |indices: &[usize], lists: &[&str]| AdapterConfig {
            layers_to_transform: Some(indices.to_vec()),
            layers_pattern: lists.iter().map(|name| (*name).to_owned()).collect(),
            ..AdapterConfig::default()
        };
        let pattern = |text: &str| ModuleNames::Pattern(text.to_owned());
        for (config, place, said) in [
            (ranks("q_prj"), "rankPattern", "did you mean \"q_proj\"?"),
            (ranks("lm_head"), "rankPattern", "names here end in q_proj, up_proj"),
            (alphas("layers.7.self_attn.q_proj"), "alphaPattern", "which matches nothing"),
            (exclude(endings(&["up_proj", "nothing_proj"])), "excludeModules", "\"nothing_proj\""),
            (exclude(pattern(".*[.]k_proj")), "excludeModules", "which matches nothing"),
            (layers(&[0, 7], &[]), "layersToTransform", "got 7"),
            (layers(&[0], &["layers", "blocks"]), "layersPattern", "\"blocks\""),
        ] {
            let error = resolve(config).unwrap_err();
            assert_eq!((error.code, error.place.as_str()), (Code::ArgumentInvalid, format!("lora.{place}").as_str()));
            assert!(error.message.contains(said), "{error}");
        }
        for config in [
            ranks("q_proj"),
            ranks(r"layers\.1\.self_attn\.q_proj"),
            alphas("self_attn.*"),
            // Not a target of all-linear, but there: a precaution.
            exclude(endings(&["lm_head", "up_proj"])),
            exclude(pattern(".*up_proj")),
            layers(&[1], &["layers"]),
        ] {
            resolve(config).unwrap();
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for (place, config) in [
            ("lora.r", AdapterConfig { r: 0, ..AdapterConfig::default() }),
            ("lora.r", AdapterConfig { rank_pattern: vec![("q".to_owned(), 0)], ..AdapterConfig::default() }),
            (
                "lora.r",
                AdapterConfig { r: 3, init_lora_weights: InitLoraWeights::Orthogonal, ..AdapterConfig::default() },
            ),
            ("lora.loraAlpha", AdapterConfig { lora_alpha: f64::NAN, ..AdapterConfig::default() }),
            ("lora.loraDropout", AdapterConfig { lora_dropout: 1.0, ..AdapterConfig::default() }),
        ] {
            let error = resolve(config).unwrap_err();
            assert_eq!((error.code, error.place.as_str()), (Code::ArgumentInvalid, place));
        }
    }
}
