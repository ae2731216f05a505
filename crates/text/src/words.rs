//! Remembers the ids of words. Most of a text is words that came before, and looking one up takes a tenth of what the library
//! takes to encode it.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use ahash::RandomState;

use crate::encoded_text::EncodedText;

/// Tables, so that threads rarely wait for each other.
const TABLES: usize = 64;
/// Words of a table: those of a language that make up nearly all of its texts fit in all of them, in some ten megabytes.
const MOST_WORDS: usize = 1024;
/// Bytes of a word that is remembered.
const LONGEST_WORD: usize = 48;

type Table = HashMap<Box<str>, EncodedText, RandomState>;

/// Ids of words, shared between threads.
#[derive(Debug)]
pub(crate) struct Words {
    tables: Vec<RwLock<Table>>,
    hasher: RandomState,
}

/// What is known of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It came before.
    Known,
    /// It came for the first time.
    New,
    /// It is not remembered.
    Never,
}

impl Default for Words {
    fn default() -> Self {
        Self { tables: (0..TABLES).map(|_| RwLock::default()).collect(), hasher: RandomState::new() }
    }
}

impl Words {
    /// What is known of a word; its ids into `known`, which is empty.
    pub fn look_up(&self, word: &str, known: &mut EncodedText) -> Found {
        if word.len() > LONGEST_WORD {
            return Found::Never;
        }
        let Some(table) = self.table(word) else { return Found::Never };
        let table = table.read().unwrap_or_else(PoisonError::into_inner);
        match table.get(word) {
            Some(word) => {
                known.ids.extend_from_slice(&word.ids);
                known.offsets.extend_from_slice(&word.offsets);
                Found::Known
            }
            None if table.len() < MOST_WORDS => Found::New,
            None => Found::Never,
        }
    }

    /// Remembers a word.
    pub fn insert(&self, word: &str, encoded: EncodedText) {
        let Some(table) = self.table(word) else { return };
        table.write().unwrap_or_else(PoisonError::into_inner).insert(word.into(), encoded);
    }

    fn table(&self, word: &str) -> Option<&RwLock<Table>> {
        self.tables.get(self.hasher.hash_one(word) as usize % TABLES)
    }
}
