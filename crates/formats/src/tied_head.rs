//! A model whose head and embedding are one matrix: stored under the name of the head alone, or under both.

use std::path::Path;

use tunesmith_ops::Result;

use crate::stored_tensor::{StoredTensor, TensorSource};

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// The weights of a tied model with the one matrix under the embedding's name, where only the head's name has it.
pub fn with_embedding(source: Box<dyn TensorSource>) -> Box<dyn TensorSource> {
    if source.contains(HEAD) && !source.contains(EMBEDDING) { Box::new(HeadAsEmbedding(source)) } else { source }
}

/// Whether a model's files hold a head of other values than the embedding. Equal ones are the one matrix stored twice.
///
/// # Errors
/// `FileInvalid`.
pub fn has_own_head(source: &dyn TensorSource) -> Result<bool> {
    Ok(source.contains(HEAD) && source.contains(EMBEDDING) && !source.get(HEAD)?.equals(&source.get(EMBEDDING)?)?)
}

struct HeadAsEmbedding(Box<dyn TensorSource>);

/// The name in the file.
fn stored(name: &str) -> &str {
    if name == EMBEDDING { HEAD } else { name }
}

impl TensorSource for HeadAsEmbedding {
    fn names(&self) -> Vec<String> {
        let renamed = |name: String| if name == HEAD { EMBEDDING.to_owned() } else { name };
        let mut names: Vec<String> = self.0.names().into_iter().map(renamed).collect();
        names.sort();
        names
    }

    fn get(&self, name: &str) -> Result<StoredTensor<'_>> {
        if name == EMBEDDING { Ok(self.0.get(HEAD)?.renamed(EMBEDDING)) } else { self.0.get(name) }
    }

    fn contains(&self, name: &str) -> bool {
        name != HEAD && self.0.contains(stored(name))
    }

    fn files(&self) -> Vec<&Path> {
        self.0.files()
    }

    fn release(&self, name: &str) {
        self.0.release(stored(name));
    }
}
