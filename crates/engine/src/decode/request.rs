//! What is generated, and the tokens that come of it.

use std::ops::ControlFlow;

use tunesmith_ops::{Error, Result};

use super::sampling::Sampling;

/// What to generate.
#[derive(Debug, Clone)]
pub struct Request {
    /// Token ids of each prompt.
    pub prompts: Vec<Vec<i32>>,
    /// Samples of each prompt. Each has random numbers of its own; the first is what one sample alone would be.
    pub samples: usize,
    /// Tokens to write at most.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens that end a sample; they are given out, then the sample stops.
    pub stop_tokens: Vec<i32>,
    /// Keep the log-probability of every token.
    pub log_probs: bool,
    /// Samples written at a time, at most; None: a number that the memory of their keys and values bounds.
    pub slots: Option<usize>,
}

impl Default for Request {
    /// One greedy sample of no prompt, of no token.
    fn default() -> Self {
        Self {
            prompts: Vec::new(),
            samples: 1,
            max_new_tokens: 0,
            sampling: Sampling::default(),
            stop_tokens: Vec::new(),
            log_probs: false,
            slots: None,
        }
    }
}

impl Request {
    /// Refuses what cannot be generated.
    ///
    /// # Errors
    /// `ArgumentInvalid` on an empty prompt, an id outside the vocabulary, no sample, no slot or a sampling option out of range.
    pub(super) fn check(&self, vocab: usize) -> Result<()> {
        self.sampling.check()?;
        for (name, count) in [("numReturnSequences", Some(self.samples)), ("maxNumSeqs", self.slots)] {
            if count == Some(0) {
                return Err(Error::argument(&format!("generate.{name}"), "at least 1", 0));
            }
        }
        for (index, prompt) in self.prompts.iter().enumerate() {
            if prompt.is_empty() {
                let place = format!("generate.prompts[{index}]");
                return Err(Error::argument(&place, "at least one token", "none"));
            }
            if let Some(id) = prompt.iter().find(|id| !(0..vocab as i64).contains(&i64::from(**id))) {
                let place = format!("generate.prompts[{index}]");
                return Err(Error::argument(&place, format!("ids in 0 .. {vocab}"), id));
            }
        }
        Ok(())
    }
}

/// Why a sample ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// A stop token.
    Stop,
    /// `max_new_tokens` reached.
    Length,
}

/// One token of one sample of a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenEvent {
    /// Index of the prompt.
    pub index: usize,
    /// Which of its samples, from 0.
    pub sample: usize,
    /// The token.
    pub token: i32,
    /// Of the token, in nats, at the sampling temperature (1 where that is 0) and before anything else that bears on the choice: what
    /// the head gives for this label in a forward pass of prompt and answer. Where it was asked for.
    pub log_prob: Option<f32>,
    /// Set with the last token.
    pub finish: Option<Finish>,
}

/// Who takes the tokens.
pub trait TokenSink {
    /// Takes a token; `Break` stops everything.
    fn take(&mut self, event: TokenEvent) -> ControlFlow<()>;

    /// Whether a sample's tokens are no longer wanted: it ends without a further one, and its slot goes to another. Asked before each
    /// token, so that an answer may come late; which tokens other samples get does not depend on it.
    fn has_ended(&mut self, _index: usize, _sample: usize) -> bool {
        false
    }
}

impl<F: FnMut(TokenEvent) -> ControlFlow<()>> TokenSink for F {
    fn take(&mut self, event: TokenEvent) -> ControlFlow<()> {
        self(event)
    }
}
