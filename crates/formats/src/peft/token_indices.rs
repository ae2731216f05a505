//! Which rows of the embedding and of the head are trained, while all others stay: PEFT's `trainable_token_indices`.

use serde::de::{self, Deserialize, Deserializer};
use serde_json::{Value, json};

use super::names::ends_with;

/// What a plain list is about.
const EMBEDDING: &str = "embed_tokens";

/// Token ids, in the order in which their rows are saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenIndices {
    /// Of the token embedding.
    Embedding(Vec<usize>),
    /// By the names or endings of modules.
    ByModule(Vec<(String, Vec<usize>)>),
}

impl TokenIndices {
    /// As options and adapter_config.json have it; None where it is nothing of the kind.
    pub(super) fn of_json(value: &Value) -> Option<Self> {
        let ids = |value: &Value| -> Option<Vec<usize>> {
            value.as_array()?.iter().map(|id| id.as_u64().filter(|id| *id < 1 << 31).map(|id| id as usize)).collect()
        };
        match value {
            Value::Array(_) => ids(value).map(Self::Embedding),
            Value::Object(map) => map
                .iter()
                .map(|(name, list)| Some((name.clone(), ids(list)?)))
                .collect::<Option<_>>()
                .map(Self::ByModule),
            _ => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Embedding(ids) => json!(ids),
            Self::ByModule(lists) => {
                lists.iter().map(|(name, ids)| (name.clone(), json!(ids))).collect::<serde_json::Map<_, _>>().into()
            }
        }
    }

    /// The lists by the endings of the modules they are for.
    pub fn lists(&self) -> Vec<(&str, &[usize])> {
        match self {
            Self::Embedding(ids) => vec![(EMBEDDING, ids)],
            Self::ByModule(lists) => lists.iter().map(|(name, ids)| (name.as_str(), ids.as_slice())).collect(),
        }
    }

    /// The tokens of a module.
    pub fn of(&self, module: &str) -> Option<&[usize]> {
        self.lists().into_iter().find_map(|(ending, ids)| ends_with(module, ending).then_some(ids))
    }

    /// These with more tokens of a module, which is called by its ending where it has no list yet.
    #[must_use]
    pub fn with(this: Option<Self>, (module, ending): (&str, &str), ids: &[usize]) -> Self {
        let lists = this.as_ref().map(Self::lists).unwrap_or_default();
        let mut lists: Vec<(String, Vec<usize>)> =
            lists.into_iter().map(|(name, own)| (name.to_owned(), own.to_vec())).collect();
        let place = lists.iter().position(|(name, _)| ends_with(module, name)).unwrap_or(lists.len());
        if place == lists.len() {
            lists.push((ending.to_owned(), Vec::new()));
        }
        if let Some((_, own)) = lists.get_mut(place) {
            let more: Vec<usize> = ids.iter().copied().filter(|id| !own.contains(id)).collect();
            own.extend(more);
        }
        match lists.as_mut_slice() {
            [(name, own)] if name == EMBEDDING => Self::Embedding(std::mem::take(own)),
            _ => Self::ByModule(lists),
        }
    }

    /// Whether a head that is the embedding too computes with the embedding's rows: it has none of its own, or the same (PEFT).
    pub fn shares(&self, embedding: &str, head: &str) -> bool {
        let own = self.of(embedding);
        own.is_some() && self.of(head).is_none_or(|ids| own == Some(ids))
    }
}

impl<'de> Deserialize<'de> for TokenIndices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::of_json(&value)
            .ok_or_else(|| de::Error::custom(format!("expected token ids, or lists of them by module, got {value}")))
    }
}
