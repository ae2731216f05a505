//! A head that computes with what the embedding has got of an adapter, and is saved so.

use tunesmith_formats::{FactorKind, saved_name};
use tunesmith_ops::{Backend, Result};

use super::peft::{Adapter, Patch, Table};
use super::tying::Shared;
use crate::families::names;
use crate::layer::{EmbeddingLora, LoraSlot, Weight};
use crate::optimizer::{ParameterId, Parameters};

impl<B: Backend> Adapter<B> {
    /// Lets the head, the module of that index, compute with what the embedding has got.
    pub(super) fn tie_head(&mut self, head: usize) {
        let found = self.patches.iter().find_map(|(_, patch)| match patch {
            Patch::Embedding(Weight::Trained(id)) => Some(Shared::Table(*id)),
            Patch::EmbeddingLora(Some(lora)) => Some(Shared::Factors(*lora)),
            _ => None,
        });
        let Some(shared) = found else { return };
        let patch = match shared {
            Shared::Table(id) => Patch::Linear(Weight::Trained(id), None),
            // Both are held transposed: what is B of the embedding is A of the head.
            Shared::Factors(EmbeddingLora { a, b, r, scale }) => Patch::Lora(Some(LoraSlot {
                a: b,
                b: a,
                magnitude: None,
                bias: None,
                r,
                scale,
                dropout: self.config.lora_dropout,
                stream: head as u32,
            })),
        };
        self.patches.push((head, patch));
        self.tied_head = Some(shared);
    }

    /// What PEFT saves of a head that follows: the same once more, under its own names.
    ///
    /// # Errors
    /// Whatever the backend's copies fail with.
    pub(super) fn tied_tables(&self, backend: &B, parameters: &Parameters<B>) -> Result<Vec<Table>> {
        let shape = |id: ParameterId| parameters.specs()[id.0].shape.clone();
        let read = |id: ParameterId| parameters.read(backend, id);
        Ok(match self.tied_head {
            None => Vec::new(),
            Some(Shared::Table(id)) => vec![Table {
                name: saved_name(&format!("{}.weight", names::HEAD)),
                shape: [shape(id)[0], shape(id)[1]],
                values: read(id)?,
            }],
            Some(Shared::Factors(EmbeddingLora { a, b, .. })) => {
                let turned = |id: ParameterId, name: String| {
                    let columns = shape(id)[1];
                    let values = tunesmith_formats::transposed(&read(id)?, columns);
                    Ok(Table { name, shape: [columns, shape(id)[0]], values })
                };
                let kind = FactorKind::Linear;
                vec![turned(b, kind.a_name(names::HEAD))?, turned(a, kind.b_name(names::HEAD))?]
            }
        })
    }
}
