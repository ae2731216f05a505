//! Text of ids that arrive one at a time.

use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// Turns a stream of ids into pieces of text that join to the text of all ids. A piece never ends inside a UTF-8
/// character: ids of an unfinished one are held back.
#[derive(Debug, Clone)]
pub struct DecodeStream {
    skip_special_tokens: bool,
    /// Ids that made the last piece, then those held back: the text of an id depends on what stands before it (leading
    /// spaces).
    recent: Vec<i32>,
    /// How many of the recent ids made the last piece.
    settled: usize,
    /// Length in bytes of their text that has been given out.
    given: usize,
}

impl DecodeStream {
    /// An empty stream.
    pub fn new(skip_special_tokens: bool) -> Self {
        Self { skip_special_tokens, recent: Vec::new(), settled: 0, given: 0 }
    }

    /// Takes one id and gives the text it completes, which may be none.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn push(&mut self, tokenizer: &Tokenizer, id: i32) -> Result<String> {
        self.recent.push(id);
        let text = tokenizer.decode(&self.recent, self.skip_special_tokens)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        let Some(piece) = text.get(self.given..).filter(|piece| !piece.is_empty()).map(str::to_owned) else {
            return Ok(String::new());
        };
        self.recent.drain(..self.settled);
        self.settled = self.recent.len();
        self.given = tokenizer.decode(&self.recent, self.skip_special_tokens)?.len();
        Ok(piece)
    }

    /// The text held back: what is left of a character that never ended, as U+FFFD.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String> {
        let text = tokenizer.decode(&std::mem::take(&mut self.recent), self.skip_special_tokens)?;
        let given = std::mem::take(&mut self.given);
        self.settled = 0;
        Ok(text.get(given..).unwrap_or_default().to_owned())
    }
}
