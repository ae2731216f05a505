//! What every block of a pass is given.

use tunesmith_ops::Backend;

use super::kv_cache::KvCache;
use super::rotary::Rotary;
use crate::batch::{Pass, Rows, SelectedTokens};
use crate::optimizer::Parameters;

/// What every block of a pass is given.
pub struct PassContext<'a, B: Backend> {
    /// The device.
    pub backend: &'a B,
    /// Values of the trained tensors.
    pub parameters: &'a Parameters<B>,
    /// The model's rotations.
    pub rotations: &'a [Rotary<B>],
    /// The tokens.
    pub pass: &'a Pass<B>,
    /// Those of them that linear layers work on.
    pub rows: Rows<'a, B>,
}

impl<'a, B: Backend> PassContext<'a, B> {
    /// The same for the selected tokens alone, where they are given.
    pub(super) fn only(&self, selected: Option<&'a SelectedTokens<B>>) -> Self {
        Self { rows: selected.map_or(self.rows, SelectedTokens::rows), ..*self }
    }
}

/// The cache of a generating pass, and which layer this is.
pub type CacheAt<'a, B> = Option<(&'a mut KvCache<B>, usize)>;
