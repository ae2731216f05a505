//! Continuing many prompts together with a key-value cache, token by token.
//!
//! What a row of a pass gives does not depend on the other rows of it on a CPU, so that neither the order of prompts, the number of
//! slots nor the moment a slot is taken again changes a bit of an answer.

use std::ops::ControlFlow;

use tunesmith_ops::nf4::FEW_ROWS;
use tunesmith_ops::{Backend, Code, Error, Result};

use super::request::{Finish, Request, TokenEvent, TokenSink};
use super::schedule::{Sample, Schedule, Start};
use crate::batch::Pass;
use crate::decoder::{Activations, Decoder};
use crate::layer::KvCache;
use crate::optimizer::Parameters;

/// Samples written at a time where the caller does not say: as many as kernels for few rows take.
const SLOTS: usize = FEW_ROWS;
/// Bytes of keys and values that those may have.
const CACHE_BYTES: usize = 1 << 30;
/// Prompt tokens in one pass at most (one prompt may exceed it).
const PREFILL_TOKENS: usize = 2048;

/// A sample that is being written.
struct Running {
    sample: Sample,
    /// Prompt and everything written so far.
    ids: Vec<i32>,
    written: usize,
    /// The slot that its prompt is being fed to, while this one waits for it.
    waits_for: Option<usize>,
}

/// A request in the middle of being carried out.
struct Rollout<'a, B: Backend> {
    backend: &'a B,
    decoder: &'a Decoder<B>,
    parameters: &'a Parameters<B>,
    activations: &'a mut Activations<B>,
    request: &'a Request,
    cache: KvCache<B>,
    schedule: Schedule,
    /// What is in each slot.
    slots: Vec<Option<Running>>,
}

/// Runs a request; `sink` takes every token and may end samples or stop it all.
///
/// # Errors
/// `ArgumentInvalid` on an empty prompt, an id outside the vocabulary or an option out of range; `NonFinite` for logits that are NaN;
/// `OutOfMemory`.
pub fn generate<B: Backend>(
    backend: &B,
    decoder: &Decoder<B>,
    parameters: &Parameters<B>,
    activations: &mut Activations<B>,
    request: &Request,
    sink: &mut dyn TokenSink,
) -> Result<()> {
    request.check(decoder.config.vocab)?;
    let longest = request.prompts.iter().map(Vec::len).max().unwrap_or(0);
    if request.max_new_tokens == 0 || longest == 0 {
        return Ok(());
    }
    let capacity = longest + request.max_new_tokens;
    let bytes = capacity * KvCache::token_bytes(backend, &decoder.config);
    let fitting = (CACHE_BYTES / bytes.max(1)).clamp(1, SLOTS);
    let slots = request.slots.unwrap_or(fitting).min(request.prompts.len() * request.samples);
    let mut rollout = Rollout {
        backend,
        decoder,
        parameters,
        activations,
        request,
        cache: KvCache::new(backend, &decoder.config, slots, capacity)?,
        schedule: Schedule::new(request.prompts.len(), request.samples, slots),
        slots: (0..slots).map(|_| None).collect(),
    };
    while rollout.turn(sink)?.is_continue() {}
    Ok(())
}

impl<B: Backend> Rollout<'_, B> {
    /// One token of every sample that has a slot. `Break` once there is none, or the sink wants no more.
    fn turn(&mut self, sink: &mut dyn TokenSink) -> Result<ControlFlow<()>> {
        self.drop_ended(sink);
        self.copy_prompts()?;
        self.start()?;
        let ready = |running: &Option<Running>| running.as_ref().is_some_and(|running| running.waits_for.is_none());
        let slots: Vec<usize> = (0..self.slots.len()).filter(|slot| ready(&self.slots[*slot])).collect();
        if slots.is_empty() {
            return Ok(ControlFlow::Break(()));
        }
        let mut logits = self.feed(&slots)?;
        let tokens = self.choose(&slots, &mut logits)?;
        let log_probs = self.log_probs(&tokens)?;
        for (place, (slot, token)) in slots.iter().zip(tokens).enumerate() {
            if self.give(*slot, token, log_probs.get(place).copied(), sink).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Frees the slots of samples whose tokens are no longer wanted.
    fn drop_ended(&mut self, sink: &mut dyn TokenSink) {
        for slot in 0..self.slots.len() {
            let Some(Running { sample, .. }) = &self.slots[slot] else { continue };
            if sink.has_ended(sample.prompt, sample.number) {
                self.free(slot);
            }
        }
    }

    fn free(&mut self, slot: usize) {
        self.slots[slot] = None;
        self.schedule.free(slot);
    }

    /// Gives the samples that wait for their prompt its keys and values, where it has been fed.
    fn copy_prompts(&mut self) -> Result<()> {
        for slot in 0..self.slots.len() {
            let Some(Running { waits_for: Some(source), ids, .. }) = &self.slots[slot] else { continue };
            let (source, length) = (*source, ids.len());
            if self.cache.length(source) < length {
                continue;
            }
            self.copy_prompt(source, slot, length)?;
        }
        Ok(())
    }

    /// All of a prompt but its last token, which every sample feeds for the logits it begins with.
    fn copy_prompt(&mut self, source: usize, slot: usize, length: usize) -> Result<()> {
        self.cache.share(self.backend, source, slot, length - 1)?;
        if let Some(running) = &mut self.slots[slot] {
            running.waits_for = None;
        }
        Ok(())
    }

    /// Fills free slots, as far as prompts fit into a pass.
    fn start(&mut self) -> Result<()> {
        let mut tokens = 0;
        while let Some(start) = self.schedule.upcoming() {
            let Start { slot, sample, source } = start;
            let ids = self.request.prompts[sample.prompt].clone();
            let length = ids.len();
            if source.is_none() && tokens > 0 && tokens + length > PREFILL_TOKENS {
                break;
            }
            self.schedule.start(start);
            self.slots[slot] = Some(Running { sample, ids, written: 0, waits_for: source });
            match source {
                None => {
                    tokens += length;
                    self.cache.forget(slot);
                }
                // Of a prompt of one token there is nothing to share.
                Some(source) if length == 1 || self.cache.length(source) >= length - 1 => {
                    self.copy_prompt(source, slot, length)?;
                }
                Some(_) => self.cache.forget(slot),
            }
        }
        Ok(())
    }

    /// Feeds what each slot has not fed yet, and gives the logits of its last token.
    fn feed(&mut self, slots: &[usize]) -> Result<Vec<f32>> {
        let (mut ids, mut positions) = (Vec::new(), Vec::new());
        let (mut counts, mut last_rows) = (Vec::new(), Vec::new());
        for &slot in slots {
            let Some(running) = &self.slots[slot] else { continue };
            let length = running.ids.len();
            // The keys already there were rotated as those of a short sequence.
            let switch = self.decoder.config.rotation_switch();
            if switch.is_some_and(|switch| self.cache.length(slot) <= switch && length > switch) {
                self.cache.forget(slot);
                if running.written > 0 {
                    self.schedule.spoil(slot);
                }
            }
            let known = self.cache.length(slot);
            ids.extend_from_slice(&running.ids[known..]);
            positions.extend((known..length).map(|position| position as i32));
            counts.push(length - known);
            last_rows.push(ids.len() as i32 - 1);
        }
        let layout = self.cache.layout(slots, &counts);
        let pass = Pass::new(self.backend, &ids, &positions, layout, last_rows)?;
        let cache = Some(&mut self.cache);
        let logits = self.decoder.logits(self.backend, self.parameters, &pass, cache, self.activations)?;
        self.cache.advance(slots, &counts);
        Ok(logits)
    }

    /// The next token of each slot.
    fn choose(&mut self, slots: &[usize], logits: &mut [f32]) -> Result<Vec<i32>> {
        let Request { sampling, .. } = self.request;
        let rows = logits.chunks_mut(self.decoder.config.vocab).zip(slots);
        let running = rows.filter_map(|(row, slot)| Some((row, self.slots[*slot].as_ref()?)));
        running
            .map(|(row, Running { sample, ids, written, .. })| {
                if let Some(place) = row.iter().position(|logit| logit.is_nan()) {
                    let text = format!(
                        "expected finite logits, got NaN for token {place} of prompt {}; check the weights and the adapter",
                        sample.prompt
                    );
                    return Err(Error::new(Code::NonFinite, "generate", text));
                }
                // The place of a first sample's number is that of the token alone.
                let place = (sample.number as u64) << 32 | *written as u64;
                Ok(sampling.choose(row, ids, sample.prompt as u32, place) as i32)
            })
            .collect()
    }

    /// The log-probabilities of the tokens that were chosen, where they are asked for.
    fn log_probs(&mut self, tokens: &[i32]) -> Result<Vec<f32>> {
        let Request { sampling, log_probs, .. } = self.request;
        if !log_probs {
            return Ok(Vec::new());
        }
        let temperature = if sampling.temperature > 0.0 { sampling.temperature as f32 } else { 1.0 };
        self.decoder.log_probs_of(self.backend, tokens, temperature, self.activations)
    }

    /// Writes a token down and gives it out.
    fn give(&mut self, slot: usize, token: i32, log_prob: Option<f32>, sink: &mut dyn TokenSink) -> ControlFlow<()> {
        let Some(running) = &mut self.slots[slot] else { return ControlFlow::Continue(()) };
        running.ids.push(token);
        running.written += 1;
        let finish = if self.request.stop_tokens.contains(&token) {
            Some(Finish::Stop)
        } else {
            (running.written == self.request.max_new_tokens).then_some(Finish::Length)
        };
        let Sample { prompt: index, number: sample } = running.sample;
        if finish.is_some() {
            self.free(slot);
        }
        if sink.has_ended(index, sample) {
            return ControlFlow::Continue(());
        }
        sink.take(TokenEvent { index, sample, token, log_prob, finish })
    }
}
