//! Final norm, head and cross-entropy over the tokens that are asked for a label, in chunks: logits never exist whole.
//!
//! `-Σ log P(y_t | y_<t)` with the shift done here: the hidden row at position t − 1 predicts the label at t. Tokens whose
//! label is ignored are not among the hidden rows, so they cost nothing and their gradient is exactly zero.

use tunesmith_ops::{
    Backend, DType, Host, IGNORE_INDEX, LocalObjective, LogitTransform, Memory, Result, RowGradient, RowValues, View,
    ViewMut,
};

use crate::batch::{Batch, Rows};
use crate::layer::{AdapterScratch, Backward, Kept, Linear, Norm};
use crate::optimizer::Parameters;
use crate::workspace::Slab;

/// Sums of one sequence; means are the caller's.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SequenceSums {
    /// Σ weight · nll, nats.
    pub loss: f64,
    /// Σ weight.
    pub weight: f64,
    /// Σ entropy, nats.
    pub entropy: f64,
    /// Supervised tokens.
    pub tokens: u32,
    /// Supervised tokens predicted first.
    pub correct: u32,
}

/// The labels of a batch that carry a loss.
#[derive(Debug, Default)]
pub struct Supervised {
    labels: Vec<i32>,
    weights: Vec<f32>,
    sequences: Vec<usize>,
    sequence_count: usize,
}

impl Supervised {
    /// Picks them out of a checked batch, and with them the tokens that predict them. The first token of a sequence has nothing
    /// before it and never counts.
    pub fn of(batch: &Batch<'_>) -> (Self, Vec<i32>) {
        let mut picked = Self { sequence_count: batch.sequence_starts.len() - 1, ..Self::default() };
        let mut wanted = Vec::new();
        for (sequence, bounds) in batch.sequence_starts.windows(2).enumerate() {
            for t in bounds[0] + 1..bounds[1] {
                let label = batch.labels[t as usize];
                if label != IGNORE_INDEX {
                    wanted.push(t - 1);
                    picked.labels.push(label);
                    picked.weights.push(batch.weights.map_or(1.0, |w| w[t as usize]));
                    picked.sequences.push(sequence);
                }
            }
        }
        (picked, wanted)
    }

    /// The sums where nothing carries a loss.
    pub fn no_sums(&self) -> Vec<SequenceSums> {
        vec![SequenceSums::default(); self.sequence_count]
    }

    fn sums(&self, per_row: &HostValues) -> Vec<SequenceSums> {
        let mut sums = self.no_sums();
        for (i, sequence) in self.sequences.iter().enumerate() {
            let sum = &mut sums[*sequence];
            let weight = f64::from(self.weights[i]);
            sum.loss -= weight * f64::from(per_row.log_prob[i]);
            sum.weight += weight;
            sum.entropy += f64::from(per_row.entropy[i]);
            sum.tokens += 1;
            sum.correct += u32::from(per_row.hit[i] > 0.5);
        }
        sums
    }
}

struct HostValues {
    log_prob: Vec<f32>,
    entropy: Vec<f32>,
    hit: Vec<f32>,
}

/// The end of the decoder.
pub struct Head<B: Backend> {
    /// Final norm.
    pub norm: Norm<B>,
    /// `[vocabulary, d]`.
    pub linear: Linear<B>,
    /// What becomes of its output before the softmax.
    pub transform: LogitTransform,
}

/// Buffers of the head, reused between steps.
pub struct HeadScratch<B: Memory> {
    normed: Slab<B>,
    rstd: Slab<B>,
    logits: Slab<B>,
    kept: Kept<B>,
    adapter: AdapterScratch<B>,
    d_normed: Slab<B>,
    log_prob: Slab<B>,
    entropy: Slab<B>,
    hit: Slab<B>,
}

impl<B: Memory> HeadScratch<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        let slab = || Slab::new(backend);
        let f32_slab = || Slab::of(DType::F32);
        Self {
            normed: slab(),
            rstd: f32_slab(),
            logits: slab(),
            kept: Kept::new(backend),
            adapter: AdapterScratch::new(backend),
            d_normed: slab(),
            log_prob: f32_slab(),
            entropy: f32_slab(),
            hit: f32_slab(),
        }
    }
}

/// Where the gradient of the hidden states goes.
pub struct HiddenGradient<'a, 'b, B: Memory> {
    /// Trained tensors and their gradients.
    pub pass: &'a mut Backward<'b, B>,
    /// `[m, d]`, written.
    pub d_hidden: ViewMut<'a, B::Buffer>,
}

impl<B: Backend> Head<B> {
    /// Loss sums per sequence from `hidden[m, d]` of the tokens `rows`, and with `gradient` everything backward of the head.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn loss(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        rows: Rows<'_, B>,
        hidden: View<'_, B::Buffer>,
        supervised: &Supervised,
        scratch: &mut HeadScratch<B>,
        mut gradient: Option<HiddenGradient<'_, '_, B>>,
    ) -> Result<Vec<SequenceSums>> {
        let (d, v, m) = (self.norm.d, self.linear.n, rows.count);
        let labels = backend.upload(Host::I32(&supervised.labels))?;
        let weights = backend.upload(Host::F32(&supervised.weights))?;
        let normed = scratch.normed.write(backend, m * d)?;
        self.norm.forward(backend, parameters, m, hidden, &mut scratch.rstd, normed)?;
        for slab in [&mut scratch.log_prob, &mut scratch.entropy, &mut scratch.hit] {
            slab.reserve(backend, m)?;
        }
        if gradient.is_some() {
            scratch.d_normed.reserve(backend, m * d)?;
        }

        // A multiple of 64 rows, from the sizes alone, so that the chunks are the same on every machine.
        let row = backend.activation_dtype().size() * v;
        let chunk = (backend.logit_bytes() / row / 64 * 64).clamp(64, 4096);
        for first in (0..m).step_by(chunk) {
            let count = chunk.min(m - first);
            let tokens = rows.part(first, count)?;
            let x = scratch.normed.view(m * d)?.part(first * d, count * d)?;
            let logits = scratch.logits.write(backend, count * v)?;
            let (kept, adapter) = (&mut scratch.kept, &mut scratch.adapter);
            self.linear.forward(backend, parameters, tokens, x, kept, adapter, logits)?;
            backend.cross_entropy(
                count,
                v,
                self.transform,
                scratch.logits.view_mut(count * v)?,
                View::new(&labels, first, count),
                match gradient {
                    None => RowGradient::None,
                    Some(_) => RowGradient::Local {
                        objective: LocalObjective::NLL,
                        weights: View::new(&weights, first, count),
                    },
                },
                RowValues::new(
                    scratch.log_prob.view_mut(m)?.part(first, count)?,
                    scratch.entropy.view_mut(m)?.part(first, count)?,
                    scratch.hit.view_mut(m)?.part(first, count)?,
                ),
            )?;
            if let Some(gradient) = &mut gradient {
                self.linear.backward(
                    backend,
                    gradient.pass,
                    tokens,
                    scratch.logits.view(count * v)?,
                    x,
                    &scratch.kept,
                    &mut scratch.adapter,
                    Some(scratch.d_normed.view_mut(m * d)?.part(first * d, count * d)?),
                    false,
                )?;
            }
        }
        if let Some(HiddenGradient { pass, d_hidden }) = gradient {
            let d_normed = scratch.d_normed.view(m * d)?;
            self.norm.backward(backend, pass, m, d_normed, hidden, &scratch.rstd, d_hidden, false)?;
        }
        Ok(supervised.sums(&read_rows(backend, scratch, m)?))
    }

    /// Logits `[m, vocabulary]` of `hidden[m, d]`, on the host: for choosing the next token.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn logits(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        hidden: View<'_, B::Buffer>,
        scratch: &mut HeadScratch<B>,
    ) -> Result<Vec<f32>> {
        let (d, v) = (self.norm.d, self.linear.n);
        let m = hidden.len / d;
        let normed = scratch.normed.write(backend, m * d)?;
        self.norm.forward(backend, parameters, m, hidden, &mut scratch.rstd, normed)?;
        let logits = scratch.logits.write(backend, m * v)?;
        let x = scratch.normed.view(m * d)?;
        let (tokens, kept, adapter) = (Rows { count: m, places: None }, &mut scratch.kept, &mut scratch.adapter);
        self.linear.forward(backend, parameters, tokens, x, kept, adapter, logits)?;
        let mut host = vec![0.0; m * v];
        backend.read(scratch.logits.view(m * v)?, &mut host)?;
        if self.transform != LogitTransform::default() {
            for logit in &mut host {
                *logit = self.transform.apply(*logit);
            }
        }
        Ok(host)
    }
}

fn read_rows<B: Backend>(backend: &B, scratch: &HeadScratch<B>, m: usize) -> Result<HostValues> {
    let read = |slab: &Slab<B>| {
        let mut host = vec![0.0; m];
        backend.read(slab.view(m)?, &mut host)?;
        Ok(host)
    };
    Ok(HostValues { log_prob: read(&scratch.log_prob)?, entropy: read(&scratch.entropy)?, hit: read(&scratch.hit)? })
}
