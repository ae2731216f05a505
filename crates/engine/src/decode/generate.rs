//! Continuing prompts together with a key-value cache, token by token.

use std::ops::ControlFlow;

use tunesmith_ops::nf4::FEW_ROWS;
use tunesmith_ops::{Backend, Error, Result};

use super::sampling::Sampling;
use crate::batch::Pass;
use crate::decoder::{Activations, Decoder};
use crate::layer::KvCache;
use crate::optimizer::Parameters;

/// Prompts decoded together at most; more are taken in waves.
const TOGETHER: usize = FEW_ROWS;
/// Prompt tokens in one prefill pass at most (one prompt may exceed it).
const PREFILL_TOKENS: usize = 2048;

/// What to generate.
#[derive(Debug, Clone)]
pub struct Request {
    /// Token ids of each prompt.
    pub prompts: Vec<Vec<i32>>,
    /// Tokens to write at most.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens that end a sequence; they are given out, then the sequence stops.
    pub stop_tokens: Vec<i32>,
}

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// A stop token.
    Stop,
    /// `max_new_tokens` reached.
    Length,
}

/// One token of one prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenEvent {
    /// Index of the prompt.
    pub index: usize,
    /// The token.
    pub token: i32,
    /// Set with the last token.
    pub finish: Option<Finish>,
}

struct Running {
    index: usize,
    /// Prompt and everything written so far.
    ids: Vec<i32>,
    written: usize,
}

/// A wave of prompts in the middle of being continued.
struct Wave<'a, B: Backend> {
    backend: &'a B,
    decoder: &'a Decoder<B>,
    parameters: &'a Parameters<B>,
    activations: &'a mut Activations<B>,
    request: &'a Request,
    cache: KvCache<B>,
    running: Vec<Running>,
}

/// Runs a request; `emit` is called for every token and may stop it all with `Break`.
///
/// # Errors
/// `ArgumentInvalid` on an empty prompt, an id outside the vocabulary or a sampling option out of range.
pub fn generate<B: Backend>(
    backend: &B,
    decoder: &Decoder<B>,
    parameters: &Parameters<B>,
    activations: &mut Activations<B>,
    request: &Request,
    emit: &mut dyn FnMut(TokenEvent) -> ControlFlow<()>,
) -> Result<()> {
    request.check(decoder.config.vocab)?;
    if request.max_new_tokens == 0 {
        return Ok(());
    }
    for (wave, prompts) in request.prompts.chunks(TOGETHER).enumerate() {
        let capacities: Vec<usize> = prompts.iter().map(|prompt| prompt.len() + request.max_new_tokens).collect();
        let mut wave = Wave {
            backend,
            decoder,
            parameters,
            activations,
            request,
            cache: KvCache::new(backend, &decoder.config, &capacities)?,
            running: prompts
                .iter()
                .enumerate()
                .map(|(j, prompt)| Running { index: wave * TOGETHER + j, ids: prompt.clone(), written: 0 })
                .collect(),
        };
        if wave.run(emit)?.is_break() {
            break;
        }
    }
    Ok(())
}

impl Request {
    fn check(&self, vocab: usize) -> Result<()> {
        self.sampling.check()?;
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

impl<B: Backend> Wave<'_, B> {
    fn run(&mut self, emit: &mut dyn FnMut(TokenEvent) -> ControlFlow<()>) -> Result<ControlFlow<()>> {
        let slots: Vec<usize> = (0..self.running.len()).collect();
        let mut active = Vec::new();
        let mut first = 0;
        while first < slots.len() {
            let mut last = first + 1;
            let mut tokens = self.running[first].ids.len();
            while last < slots.len() && tokens + self.running[last].ids.len() <= PREFILL_TOKENS {
                tokens += self.running[last].ids.len();
                last += 1;
            }
            match self.advance(&slots[first..last], emit)? {
                ControlFlow::Continue(still) => active.extend(still),
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            }
            first = last;
        }
        while !active.is_empty() {
            match self.advance(&active, emit)? {
                ControlFlow::Continue(still) => active = still,
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Feeds what each slot has not fed yet and chooses its next token. Gives the slots that go on.
    fn advance(
        &mut self,
        slots: &[usize],
        emit: &mut dyn FnMut(TokenEvent) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<usize>>> {
        let mut logits = self.feed(slots)?;
        let vocab = self.decoder.config.vocab;
        let mut still = Vec::new();
        for (row, slot) in logits.chunks_mut(vocab).zip(slots) {
            if let Some(place) = row.iter().position(|logit| logit.is_nan()) {
                return Err(Error::new(
                    tunesmith_ops::Code::NonFinite,
                    "generate",
                    format!(
                        "expected finite logits, got NaN for token {place} of prompt {}; check the weights and the adapter",
                        self.running[*slot].index
                    ),
                ));
            }
            let running = &mut self.running[*slot];
            let sampling = &self.request.sampling;
            let token = sampling.choose(row, &running.ids, running.index as u32, running.written as u64) as i32;
            running.ids.push(token);
            running.written += 1;
            let finish = if self.request.stop_tokens.contains(&token) {
                Some(Finish::Stop)
            } else if running.written == self.request.max_new_tokens {
                Some(Finish::Length)
            } else {
                still.push(*slot);
                None
            };
            let event = TokenEvent { index: running.index, token, finish };
            if emit(event).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(still))
    }

    fn feed(&mut self, slots: &[usize]) -> Result<Vec<f32>> {
        let mut ids = Vec::new();
        let mut positions = Vec::new();
        let mut counts = Vec::new();
        let mut last_rows = Vec::new();
        for slot in slots {
            let ids_so_far = &self.running[*slot].ids;
            // The keys already there were rotated as those of a short sequence.
            if self
                .decoder
                .config
                .rotation_switch()
                .is_some_and(|switch| self.cache.length(*slot) <= switch && ids_so_far.len() > switch)
            {
                self.cache.forget(*slot);
            }
            let known = self.cache.length(*slot);
            let new = &ids_so_far[known..];
            ids.extend_from_slice(new);
            positions.extend((known..known + new.len()).map(|position| position as i32));
            counts.push(new.len());
            last_rows.push(ids.len() as i32 - 1);
        }
        let layout = self.cache.layout(slots, &counts);
        let pass = Pass::new(self.backend, &ids, &positions, layout, last_rows)?;
        let cache = Some(&mut self.cache);
        let logits = self.decoder.logits(self.backend, self.parameters, &pass, cache, self.activations)?;
        self.cache.advance(slots, &counts);
        Ok(logits)
    }
}
