//! Final norm, head and cross-entropy over the supervised tokens, in chunks: logits never exist whole.
//!
//! `-Σ log P(y_t | y_<t)` with the shift done here: the hidden row at position t − 1 predicts the label at t. Tokens whose
//! label is ignored are not among the hidden rows, so they cost nothing and their gradient is exactly zero.

use tunesmith_ops::{Backend, Coefficients, Host, LogitTransform, Memory, Result, RowGradient, View, ViewMut};

use super::columns::{Asked, Columns};
use super::local::Objective;
use super::supervised::{SequenceSums, Supervised, TokenCoefficients, TokenValues};
use crate::batch::Rows;
use crate::layer::{AdapterScratch, Backward, Linear, Norm, SavedLora, TokenRowsScratch};
use crate::optimizer::Parameters;
use crate::workspace::WorkspaceBuffer;

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
    normed: WorkspaceBuffer<B>,
    rstd: WorkspaceBuffer<B>,
    logits: WorkspaceBuffer<B>,
    kept: SavedLora<B>,
    adapter: AdapterScratch<B>,
    tokens: TokenRowsScratch<B>,
    d_normed: WorkspaceBuffer<B>,
    columns: Columns<B>,
}

impl<B: Memory> HeadScratch<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        Self {
            normed: WorkspaceBuffer::new(backend),
            rstd: WorkspaceBuffer::of(tunesmith_ops::DType::F32),
            logits: WorkspaceBuffer::new(backend),
            kept: SavedLora::new(backend),
            adapter: AdapterScratch::new(backend),
            tokens: TokenRowsScratch::new(backend),
            d_normed: WorkspaceBuffer::new(backend),
            columns: Columns::new(),
        }
    }
}

/// What the head works on: the hidden states of the tokens that predict a label, in order.
pub struct HeadInput<'a, B: Backend> {
    /// Values of the trained tensors.
    pub parameters: &'a Parameters<B>,
    /// The tokens.
    pub rows: Rows<'a, B>,
    /// Their hidden states `[m, d]`.
    pub hidden: View<'a, B::Buffer>,
    /// Their labels.
    pub supervised: &'a Supervised,
}

/// Where the gradient of the hidden states goes.
pub struct HiddenGradient<'a, 'b, B: Memory> {
    /// Trained tensors and their gradients.
    pub pass: &'a mut Backward<'b, B>,
    /// `[m, d]`, written.
    pub d_hidden: ViewMut<'a, B::Buffer>,
}

/// What the gradient of each row is made of, on the device: `[m]` each.
enum Slope<B: Memory> {
    Local(Objective, B::Buffer),
    Given(Coefficients<B::Buffer>),
}

impl<B: Memory> Slope<B> {
    /// Of `count` rows from `first` on.
    fn part(&self, first: usize, count: usize) -> RowGradient<'_, B::Buffer> {
        match self {
            Self::Local(objective, weights) => {
                RowGradient::Local { objective: objective.local(), weights: View::new(weights, first, count) }
            }
            Self::Given(coefficients) => RowGradient::Coefficients(Coefficients {
                log_prob: coefficients.log_prob.as_ref().map(|buffer| View::new(buffer, first, count)),
                entropy: coefficients.entropy.as_ref().map(|buffer| View::new(buffer, first, count)),
                log_sum_exp: coefficients.log_sum_exp.as_ref().map(|buffer| View::new(buffer, first, count)),
                mean_log_prob: coefficients.mean_log_prob.as_ref().map(|buffer| View::new(buffer, first, count)),
            }),
        }
    }
}

impl<B: Backend> Head<B> {
    /// Loss sums per sequence of an objective that is local to a token, and with `gradient` everything backward of the head, in
    /// one pass over the chunks.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn loss(
        &self,
        backend: &B,
        input: &HeadInput<'_, B>,
        objective: &Objective,
        scratch: &mut HeadScratch<B>,
        gradient: Option<HiddenGradient<'_, '_, B>>,
    ) -> Result<Vec<SequenceSums>> {
        let more = objective.reads_more();
        let asked = Asked { log_sum_exp: more, mean_log_prob: more, ..Asked::default() };
        let supervised = input.supervised;
        match gradient {
            None => self.run(backend, input, asked, scratch, None)?,
            Some(gradient) => {
                let weights = backend.upload(Host::F32(&supervised.weights))?;
                self.run(backend, input, asked, scratch, Some((&Slope::Local(*objective, weights), gradient)))?;
            }
        }
        Ok(supervised.sums(objective, &scratch.columns.read(backend, input.rows.count, asked)?))
    }

    /// What the model says of each label: the first of two phases.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn values(
        &self,
        backend: &B,
        input: &HeadInput<'_, B>,
        asked: Asked,
        scratch: &mut HeadScratch<B>,
    ) -> Result<TokenValues> {
        self.run(backend, input, asked, scratch, None)?;
        Ok(input.supervised.values(scratch.columns.read(backend, input.rows.count, asked)?, asked))
    }

    /// Everything backward of the head for the checked derivative of a loss by each value: the second of two phases. The logits are
    /// computed again, which costs one product with the vocabulary more than an objective of one pass.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn backward(
        &self,
        backend: &B,
        input: &HeadInput<'_, B>,
        coefficients: &TokenCoefficients<'_>,
        scratch: &mut HeadScratch<B>,
        gradient: HiddenGradient<'_, '_, B>,
    ) -> Result<()> {
        let upload = |values: Option<&[f32]>| {
            values.map(|values| backend.upload(Host::F32(&input.supervised.at_labels(values)))).transpose()
        };
        let slope = Slope::Given(Coefficients {
            log_prob: upload(coefficients.log_prob)?,
            entropy: upload(coefficients.entropy)?,
            log_sum_exp: upload(coefficients.log_sum_exp)?,
            mean_log_prob: upload(coefficients.mean_log_prob)?,
        });
        self.run(backend, input, Asked::default(), scratch, Some((&slope, gradient)))
    }

    /// Norm, and chunk by chunk logits, values and, where there is a slope, the gradient.
    fn run(
        &self,
        backend: &B,
        input: &HeadInput<'_, B>,
        asked: Asked,
        scratch: &mut HeadScratch<B>,
        mut gradient: Option<(&Slope<B>, HiddenGradient<'_, '_, B>)>,
    ) -> Result<()> {
        let (d, m) = (self.norm.d, input.rows.count);
        let labels = backend.upload(Host::I32(&input.supervised.labels))?;
        let normed = scratch.normed.write(backend, m * d)?;
        self.norm.forward(backend, input.parameters, m, input.hidden, &mut scratch.rstd, normed)?;
        scratch.columns.reserve(backend, m, asked)?;
        if gradient.is_some() {
            scratch.d_normed.reserve(backend, m * d)?;
        }
        let chunk = self.chunk(backend);
        for first in (0..m).step_by(chunk) {
            let part = Chunk { first, count: chunk.min(m - first), labels: &labels, asked };
            let slope = gradient.as_ref().map(|(slope, _)| *slope);
            self.chunk_forward(backend, input, &part, scratch, slope)?;
            if let Some((_, gradient)) = &mut gradient {
                self.chunk_backward(backend, input, &part, scratch, gradient)?;
            }
        }
        let Some((_, HiddenGradient { pass, d_hidden })) = gradient else { return Ok(()) };
        let d_normed = scratch.d_normed.view(m * d)?;
        self.norm.backward(backend, pass, m, d_normed, input.hidden, &scratch.rstd, d_hidden, false)
    }

    /// Rows of a chunk: a multiple of 64, from the sizes alone, so that the chunks are the same on every machine.
    fn chunk(&self, backend: &B) -> usize {
        let row = backend.activation_dtype().size() * self.linear.n;
        (backend.logit_bytes() / row / 64 * 64).clamp(64, 4096)
    }

    fn chunk_forward(
        &self,
        backend: &B,
        input: &HeadInput<'_, B>,
        &Chunk { first, count, labels, asked }: &Chunk<'_, B>,
        scratch: &mut HeadScratch<B>,
        slope: Option<&Slope<B>>,
    ) -> Result<()> {
        let (d, v, m) = (self.norm.d, self.linear.n, input.rows.count);
        let x = scratch.normed.view(m * d)?.part(first * d, count * d)?;
        let mut logits = scratch.logits.write(backend, count * v)?;
        let (kept, adapter, rows) = (&mut scratch.kept, &mut scratch.adapter, input.rows.part(first, count)?);
        self.linear.forward(backend, input.parameters, rows, x, kept, adapter, logits.reborrow())?;
        if let Some(tokens) = &self.linear.tokens {
            tokens.project(backend, input.parameters, (count, v), x, &mut scratch.tokens, logits)?;
        }
        backend.cross_entropy(
            count,
            v,
            input.supervised.temperature.map_or(self.transform, |temperature| self.transform.at(temperature)),
            scratch.logits.view_mut(count * v)?,
            View::new(labels, first, count),
            slope.map_or(RowGradient::None, |slope| slope.part(first, count)),
            scratch.columns.rows(m, first, count, asked)?,
        )
    }

    fn chunk_backward(
        &self,
        backend: &B,
        input: &HeadInput<'_, B>,
        &Chunk { first, count, .. }: &Chunk<'_, B>,
        scratch: &mut HeadScratch<B>,
        gradient: &mut HiddenGradient<'_, '_, B>,
    ) -> Result<()> {
        let (d, v, m) = (self.norm.d, self.linear.n, input.rows.count);
        if let Some(tokens) = &self.linear.tokens {
            tokens.take_gradient(backend, (count, v), &mut scratch.tokens, scratch.logits.view_mut(count * v)?)?;
        }
        let x = scratch.normed.view(m * d)?.part(first * d, count * d)?;
        self.linear.backward(
            backend,
            gradient.pass,
            input.rows.part(first, count)?,
            scratch.logits.view(count * v)?,
            x,
            &scratch.kept,
            &mut scratch.adapter,
            Some(scratch.d_normed.view_mut(m * d)?.part(first * d, count * d)?),
            false,
        )?;
        let Some(tokens) = &self.linear.tokens else { return Ok(()) };
        let dx = scratch.d_normed.view_mut(m * d)?.part(first * d, count * d)?;
        tokens.project_backward(backend, gradient.pass, count, x, &scratch.tokens, dx)
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
        let mut logits = scratch.logits.write(backend, m * v)?;
        let x = scratch.normed.view(m * d)?;
        let (tokens, kept, adapter) = (Rows { count: m, places: None }, &mut scratch.kept, &mut scratch.adapter);
        self.linear.forward(backend, parameters, tokens, x, kept, adapter, logits.reborrow())?;
        if let Some(tokens) = &self.linear.tokens {
            tokens.project(backend, parameters, (m, v), x, &mut scratch.tokens, logits)?;
        }
        let mut host = vec![0.0; m * v];
        backend.read(scratch.logits.view(m * v)?, &mut host)?;
        if self.transform != LogitTransform::default() {
            for logit in &mut host {
                *logit = self.transform.apply(*logit);
            }
        }
        Ok(host)
    }

    /// Log-probabilities at a temperature of one label for each row of the last [`Self::logits`], whose logits are used up.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn log_probs_of(
        &self,
        backend: &B,
        labels: &[i32],
        temperature: f32,
        scratch: &mut HeadScratch<B>,
    ) -> Result<Vec<f32>> {
        let (m, v, asked) = (labels.len(), self.linear.n, Asked::default());
        let labels = backend.upload(Host::I32(labels))?;
        scratch.columns.reserve(backend, m, asked)?;
        backend.cross_entropy(
            m,
            v,
            self.transform.at(temperature),
            scratch.logits.view_mut(m * v)?,
            View::new(&labels, 0, m),
            RowGradient::None,
            scratch.columns.rows(m, 0, m, asked)?,
        )?;
        Ok(scratch.columns.read(backend, m, asked)?.log_prob)
    }
}

/// Rows `first .. first + count` of a head's input.
struct Chunk<'a, B: Memory> {
    first: usize,
    count: usize,
    labels: &'a B::Buffer,
    asked: Asked,
}
