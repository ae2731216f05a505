//! What a rendering may spend: steps, bytes of text, list entries, depth.
//!
//! Everything that takes time or memory is paid before it is done, so that a refusal comes before the memory is taken.
//! One unit is a step, 64 bytes of text, or two entries of a list.

use std::cell::Cell;

use super::error::{Error, Result, refuse};

/// Deepest chain of expressions, blocks and macros that run inside one another.
const MAX_DEPTH: u32 = 2000;
/// Bytes of text that one unit pays for.
const TEXT_PER_UNIT: usize = 64;
/// List entries that one unit pays for.
const ITEMS_PER_UNIT: usize = 2;

/// The means of one rendering.
pub(crate) struct Budget {
    left: Cell<u64>,
    depth: Cell<u32>,
}

impl Budget {
    /// `units` in all.
    pub fn new(units: u64) -> Self {
        Self { left: Cell::new(units), depth: Cell::new(0) }
    }

    /// Units that are left.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// Pays for `units`.
    pub fn spend(&self, units: u64) -> Result<()> {
        let left = self.left.get().checked_sub(units);
        self.left.set(left.unwrap_or(0));
        left.map(drop).ok_or_else(|| Error::new("it takes more steps or memory than a conversation of this size may"))
    }

    /// Pays for text of `bytes`.
    pub fn text(&self, bytes: usize) -> Result<()> {
        self.spend((bytes / TEXT_PER_UNIT) as u64)
    }

    /// Pays for a list of `count` entries.
    pub fn items(&self, count: usize) -> Result<()> {
        self.spend((count / ITEMS_PER_UNIT) as u64)
    }

    /// Runs `work` one level deeper, for one step.
    pub fn deeper<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.spend(1)?;
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            return refuse("expressions, blocks and macros run too deep inside one another");
        }
        self.depth.set(depth.saturating_add(1));
        let result = work();
        self.depth.set(depth);
        result
    }
}
