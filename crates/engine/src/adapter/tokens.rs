//! Trained rows of the embedding and the head, whose other rows stay: PEFT's `trainable_token_indices`.

use std::collections::{BTreeMap, BTreeSet};

use tunesmith_formats::{AdapterTensor, TokenIndices, token_rows_name};
use tunesmith_ops::{Backend, Code, Error, Result};

use super::modules::Module;
use super::peft::{Adapter, Patch};
use super::tensors::spec;
use super::values::matrix_rows;
use crate::families::names;
use crate::layer::{TokenRows, Weight};
use crate::optimizer::{ParameterId, ParameterKind};

const PLACE: &str = "lora.trainableTokenIndices";

/// A matrix with a row for each token.
struct Vocabulary<'a, B: Backend> {
    name: &'a str,
    v: usize,
    d: usize,
    weight: &'a Weight<B>,
    adapted: bool,
}

impl<'a, B: Backend> Vocabulary<'a, B> {
    fn of(module: &'a Module<'_, B>) -> Option<Self> {
        let name = module.name();
        match module {
            Module::Embedding(own) => Some(Self { name, v: own.v, d: own.d, weight: &own.table, adapted: false }),
            Module::Linear(own) if name == names::HEAD => {
                Some(Self { name, v: own.n, d: own.k, weight: &own.weight, adapted: false })
            }
            _ => None,
        }
    }

    fn check(&self, indices: &[usize]) -> Result<()> {
        let wrong = |expected: String, got: String| Err(Error::argument(PLACE, expected, got));
        if self.adapted {
            let got = format!("{} among targetModules or modulesToSave too; leave it out of one of them", self.name);
            return wrong("modules that are trained in one way".to_owned(), got);
        }
        if let Some(token) = indices.iter().find(|token| **token >= self.v) {
            return wrong(format!("token ids in 0 .. {} for {}", self.v, self.name), token.to_string());
        }
        let mut seen = BTreeSet::new();
        match indices.iter().find(|token| !seen.insert(**token)) {
            Some(token) => wrong(format!("each token once for {}", self.name), format!("{token} twice")),
            None if indices.is_empty() => {
                wrong(format!("at least one token for {}", self.name), "none; leave it out".to_owned())
            }
            None => Ok(()),
        }
    }
}

impl<B: Backend> Adapter<B> {
    /// Trains the rows that the options name: from those of a file, or from what the base has. A head that is the embedding too
    /// computes with the rows of that, unless it has others of its own (PEFT).
    pub(super) fn add_tokens(
        &mut self,
        backend: &B,
        all: &[Module<'_, B>],
        tied: bool,
        mut file: Option<BTreeMap<String, AdapterTensor>>,
    ) -> Result<()> {
        if let Some(tokens) = self.config.trainable_token_indices.clone() {
            self.add_rows(backend, all, (&tokens, tied), file.as_mut())?;
        }
        match file.and_then(|rows| rows.into_keys().next()) {
            None => Ok(()),
            Some(module) => Err(misfit(&module, "no rows of tokens by adapter_config.json", "some")),
        }
    }

    fn add_rows(
        &mut self,
        backend: &B,
        all: &[Module<'_, B>],
        (tokens, tied): (&TokenIndices, bool),
        mut file: Option<&mut BTreeMap<String, AdapterTensor>>,
    ) -> Result<()> {
        let matrices: Vec<(usize, Vocabulary<'_, B>)> = all
            .iter()
            .enumerate()
            .filter_map(|(index, module)| Some((index, Vocabulary::of(module)?)))
            .map(|(index, one)| (index, Vocabulary { adapted: self.changes(index), ..one }))
            .collect();
        for (ending, ids) in tokens.lists() {
            if !matrices.iter().any(|(_, one)| tokens.of(one.name) == Some(ids)) {
                return Err(Error::argument(PLACE, "embed_tokens or lm_head", format!("{ending:?}")));
            }
        }
        let embedding = names::EMBEDDING.strip_suffix(".weight").unwrap_or_default();
        let shares = tied && tokens.shares(embedding, names::HEAD);
        let parted = tied && !shares && tokens.of(embedding).is_some() && tokens.of(names::HEAD).is_some();
        if parted && self.config.ensure_weight_tying {
            let got = "others for each; give the same, or set ensureWeightTying to false";
            return Err(Error::argument(PLACE, "the same tokens for embed_tokens and lm_head, which are tied", got));
        }
        let mut first: Option<(ParameterId, Vec<f32>)> = None;
        for (index, one) in matrices {
            let follows = shares && one.name == names::HEAD;
            let Some(indices) = tokens.of(if follows { embedding } else { one.name }) else { continue };
            one.check(indices)?;
            let saved = file.as_mut().map(|file| file.remove(one.name));
            let id = match (&first, saved) {
                (Some((id, values)), saved) if follows => {
                    // PEFT saves them twice with a vocabulary that was resized.
                    if saved.flatten().is_some_and(|copy| copy.data != *values) {
                        return Err(misfit(one.name, "the rows of the embedding, which it is tied to", "others"));
                    }
                    *id
                }
                (_, saved) => {
                    let shape = [indices.len(), one.d];
                    let values = match saved {
                        None => matrix_rows(backend, one.weight, indices, one.d)?,
                        Some(Some(tensor)) if tensor.shape == shape => tensor.data,
                        Some(other) => {
                            let got = other.map_or("none".to_owned(), |tensor| format!("{:?}", tensor.shape));
                            return Err(misfit(one.name, &format!("rows of tokens {shape:?}"), &got));
                        }
                    };
                    let rows = spec(token_rows_name(one.name), &shape, ParameterKind::Embedding);
                    let id = self.parameters.add(backend, rows, &values)?;
                    first = Some((id, values));
                    id
                }
            };
            self.patches.push((index, Patch::Tokens(Some(TokenRows::new(backend, id, indices)?))));
        }
        Ok(())
    }

    /// Whether the adapter has something on a module already.
    fn changes(&self, index: usize) -> bool {
        self.patches.iter().any(|(changed, _)| *changed == index)
    }
}

fn misfit(module: &str, expected: &str, got: &str) -> Error {
    let message = format!("expected {expected}, got {got}; correct the adapter's files, or save it again");
    Error::new(Code::ConfigInvalid, module, message)
}
