//! What is asked for a head and an embedding that are one matrix and stay one with an adapter on it: PEFT's `ensure_weight_tying`.

use std::collections::BTreeMap;

use tunesmith_formats::{AdapterConfig, AdapterTensor, LoraTensors, ModuleTensors};
use tunesmith_ops::{Code, Error, Result};

use super::candidate::{Candidate, CandidateKind};
use super::targets::{Targets, check_target};
use crate::families::names;
use crate::layer::EmbeddingLora;
use crate::optimizer::ParameterId;

/// What the head shares with the embedding.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shared {
    /// The whole trained table.
    Table(ParameterId),
    /// The factors.
    Factors(EmbeddingLora),
}

/// The name of the embedding's module.
pub(super) fn embedding_name() -> &'static str {
    names::EMBEDDING.strip_suffix(".weight").unwrap_or_default()
}

/// Moves what is asked for the head to the embedding, which the head then follows.
///
/// # Errors
/// `ModelUnsupported` where the embedding takes no factors of the kind that is asked for.
pub(super) fn tie(config: &mut AdapterConfig, all: &[Candidate], targets: &mut Targets) -> Result<()> {
    let place = |kind: CandidateKind| all.iter().position(|module| module.kind == kind);
    let (Some(embedding), Some(head)) = (place(CandidateKind::Embedding), place(CandidateKind::Head)) else {
        return Ok(());
    };
    let moved = |list: &mut Vec<usize>| {
        let any = list.contains(&head) || list.contains(&embedding);
        list.retain(|index| *index != head && *index != embedding);
        if any {
            list.insert(0, embedding);
        }
        any
    };
    if moved(&mut targets.saved) {
        config.modules_to_save.retain(|name| !name.ends_with(names::HEAD));
        if !config.modules_to_save.iter().any(|name| embedding_name().ends_with(name.as_str())) {
            config.modules_to_save.push(embedding_name().to_owned());
        }
    } else if moved(&mut targets.adapted) {
        check_target(config, &all[embedding])?;
        config.adapt_in_place_of(names::HEAD, embedding_name());
    }
    Ok(())
}

/// Takes what a file has of a head that follows, which must be what it has of the embedding.
///
/// # Errors
/// `ConfigInvalid` where it is not.
pub(super) fn take_tied(
    modules: &mut BTreeMap<String, ModuleTensors>,
    copies: &mut BTreeMap<String, AdapterTensor>,
) -> Result<()> {
    let of_head = modules.remove(names::HEAD);
    let equal = match (modules.get(embedding_name()), of_head) {
        (Some(ModuleTensors::Saved(own)), None) => {
            let copy = copies.remove(&format!("{}.weight", names::HEAD));
            copy.is_none_or(|copy| own.get("weight") == Some(&copy))
        }
        (Some(ModuleTensors::Saved(own)), Some(ModuleTensors::Saved(head))) => own.get("weight") == head.get("weight"),
        (Some(ModuleTensors::Lora(own)), Some(ModuleTensors::Lora(LoraTensors { a, b, .. }))) => {
            own.b.transposed() == a && own.a.transposed() == b
        }
        (_, head) => head.is_none(),
    };
    if equal {
        return Ok(());
    }
    let message = "expected what the embedding has, which it is tied to by ensure_weight_tying, got something else; save the \
                   adapter again, or set ensure_weight_tying to false";
    Err(Error::new(Code::ConfigInvalid, names::HEAD, message))
}
