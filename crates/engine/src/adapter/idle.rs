//! Entries of a new adapter's options that would do nothing: a name in them matches no module, so they are not what was meant.

use tunesmith_formats::{AdapterConfig, Choice, Matcher, ModuleNames};
use tunesmith_ops::{Code, Error, Result};

use super::candidate::Candidate;

/// Refuses entries of `rank_pattern`, `alpha_pattern`, `exclude_modules`, `layers_to_transform` and `layers_pattern` that match nothing.
///
/// # Errors
/// `ArgumentInvalid` with the entry and the names there are; `ConfigInvalid` for an invalid regular expression.
pub fn refuse_idle(config: &AdapterConfig, all: &[Candidate], adapted: &[String]) -> Result<()> {
    let adapted: Vec<&str> = adapted.iter().map(String::as_str).collect();
    let ranks = config.rank_pattern.iter().map(|(key, _)| ("lora.rankPattern", key));
    let alphas = config.alpha_pattern.iter().map(|(key, _)| ("lora.alphaPattern", key));
    for (place, key) in ranks.chain(alphas) {
        if !any_ends_in(key, &adapted)? {
            return Err(no_match(place, "patterns that match adapted modules", key, &adapted));
        }
    }
    refuse_idle_exclusion(config, all)?;
    for layer in config.layers_to_transform.iter().flatten() {
        let alone = AdapterConfig { layers_to_transform: Some(vec![*layer]), ..config.clone() };
        if !any_chosen(&alone, all)? {
            let message = format!(
                "expected layers that hold targets, got {layer}, which holds none; layers are counted from 0, and this model's names end at {}",
                all.iter().rev().find(|module| module.is_inner_linear()).map_or("none", |module| &module.name)
            );
            return Err(Error::new(Code::ArgumentInvalid, "lora.layersToTransform", message));
        }
    }
    for list in &config.layers_pattern {
        let alone = AdapterConfig { layers_pattern: vec![list.clone()], ..config.clone() };
        if !any_chosen(&alone, all)? {
            let names: Vec<&str> = all.iter().map(|module| module.name.as_str()).collect();
            return Err(no_match("lora.layersPattern", "names of lists of layers", list, &names));
        }
    }
    Ok(())
}

/// An exclusion may name what is no target, as a precaution, but not what there is not.
fn refuse_idle_exclusion(config: &AdapterConfig, all: &[Candidate]) -> Result<()> {
    let entries: &[String] = match &config.exclude_modules {
        None | Some(ModuleNames::AllLinear) => return Ok(()),
        Some(ModuleNames::Pattern(pattern)) => std::slice::from_ref(pattern),
        Some(ModuleNames::Endings(list)) => list,
    };
    let whole = matches!(&config.exclude_modules, Some(ModuleNames::Pattern(_)));
    for entry in entries {
        // What a target of that name would be.
        let target_modules =
            if whole { ModuleNames::Pattern(entry.clone()) } else { ModuleNames::Endings(vec![entry.clone()]) };
        if !any_chosen(&AdapterConfig { target_modules, ..AdapterConfig::default() }, all)? {
            let names: Vec<&str> = all.iter().map(|module| module.name.as_str()).collect();
            let expected = "names or endings of modules, or a regular expression of whole names";
            return Err(no_match("lora.excludeModules", expected, entry, &names));
        }
    }
    Ok(())
}

fn any_chosen(config: &AdapterConfig, all: &[Candidate]) -> Result<bool> {
    let matcher = Matcher::new(config)?;
    for module in all {
        if matcher.choice(&module.name, module.is_inner_linear())? != Choice::Untouched {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a pattern of ranks or alphas takes one of the names.
fn any_ends_in(pattern: &str, names: &[&str]) -> Result<bool> {
    let config = AdapterConfig { r: 1, rank_pattern: vec![(pattern.to_owned(), 2)], ..AdapterConfig::default() };
    let matcher = Matcher::new(&config)?;
    for name in names {
        if matcher.rank_and_scale(name)?.0 == 2 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn no_match(place: &str, expected: &str, given: &str, names: &[&str]) -> Error {
    let mut endings: Vec<&str> = names.iter().filter_map(|name| name.rsplit('.').next()).collect();
    endings.sort_unstable();
    endings.dedup();
    let advice = match nearest(given, &endings) {
        Some(name) => format!("did you mean {name:?}?"),
        None => format!("names here end in {}", endings.join(", ")),
    };
    Error::new(
        Code::ArgumentInvalid,
        place,
        format!("expected {expected}, got {given:?}, which matches nothing; {advice}"),
    )
}

/// The name with the fewest edits, if that is less than half of its letters.
pub fn nearest<'a>(given: &str, names: &[&'a str]) -> Option<&'a str> {
    let best = names.iter().map(|name| (edits(given, name), *name)).min()?;
    (best.0 < best.1.len() / 2).then_some(best.1)
}

/// Levenshtein distance by rows of the dynamic programme.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
