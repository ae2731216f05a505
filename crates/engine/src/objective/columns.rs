//! The values of the rows of the head, column by column: on the device in the workspace, and read back.

use tunesmith_ops::{Backend, DType, Memory, Result, RowValues, ViewMut};

use crate::workspace::WorkspaceBuffer;

/// Values that are computed only where asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "a set of values, one flag each")]
pub struct Asked {
    /// log Σ exp of the logits.
    pub log_sum_exp: bool,
    /// Mean of the log-probabilities over the vocabulary.
    pub mean_log_prob: bool,
    /// log Σ p².
    pub log_sum_squares: bool,
    /// Mean of the logits over the vocabulary.
    pub mean_logit: bool,
    /// The logits are divided by it, above 0, before the softmax; None: they are as they are.
    pub temperature: Option<f32>,
}

impl Asked {
    /// The values that take coefficients.
    pub const DIFFERENTIABLE: Self =
        Self { log_sum_exp: true, mean_log_prob: true, log_sum_squares: false, mean_logit: false, temperature: None };
}

/// One buffer a value, `[m]` float32.
pub(super) struct Columns<B: Memory> {
    log_prob: WorkspaceBuffer<B>,
    entropy: WorkspaceBuffer<B>,
    hit: WorkspaceBuffer<B>,
    log_sum_exp: WorkspaceBuffer<B>,
    mean_log_prob: WorkspaceBuffer<B>,
    log_sum_squares: WorkspaceBuffer<B>,
    mean_logit: WorkspaceBuffer<B>,
}

/// The same on the host; empty where not asked for.
#[derive(Debug, Default)]
pub(super) struct HostColumns {
    pub log_prob: Vec<f32>,
    pub entropy: Vec<f32>,
    pub hit: Vec<f32>,
    pub log_sum_exp: Vec<f32>,
    pub mean_log_prob: Vec<f32>,
    pub log_sum_squares: Vec<f32>,
    pub mean_logit: Vec<f32>,
}

impl<B: Memory> Columns<B> {
    /// Empty.
    pub fn new() -> Self {
        let column = || WorkspaceBuffer::of(DType::F32);
        Self {
            log_prob: column(),
            entropy: column(),
            hit: column(),
            log_sum_exp: column(),
            mean_log_prob: column(),
            log_sum_squares: column(),
            mean_logit: column(),
        }
    }

    /// Makes room for `m` rows.
    pub fn reserve(&mut self, backend: &B, m: usize, asked: Asked) -> Result<()> {
        for column in [&mut self.log_prob, &mut self.entropy, &mut self.hit] {
            column.reserve(backend, m)?;
        }
        for (column, is_asked) in [
            (&mut self.log_sum_exp, asked.log_sum_exp),
            (&mut self.mean_log_prob, asked.mean_log_prob),
            (&mut self.log_sum_squares, asked.log_sum_squares),
            (&mut self.mean_logit, asked.mean_logit),
        ] {
            if is_asked {
                column.reserve(backend, m)?;
            }
        }
        Ok(())
    }

    /// Where the values of `count` rows from `first` on go, of `m`.
    pub fn rows(&mut self, m: usize, first: usize, count: usize, asked: Asked) -> Result<RowValues<'_, B::Buffer>> {
        let Self { log_prob, entropy, hit, log_sum_exp, mean_log_prob, log_sum_squares, mean_logit } = self;
        Ok(RowValues {
            log_prob: part(log_prob, m, first, count)?,
            entropy: part(entropy, m, first, count)?,
            hit: part(hit, m, first, count)?,
            log_sum_exp: asked.log_sum_exp.then(|| part(log_sum_exp, m, first, count)).transpose()?,
            mean_log_prob: asked.mean_log_prob.then(|| part(mean_log_prob, m, first, count)).transpose()?,
            log_sum_squares: asked.log_sum_squares.then(|| part(log_sum_squares, m, first, count)).transpose()?,
            mean_logit: asked.mean_logit.then(|| part(mean_logit, m, first, count)).transpose()?,
        })
    }
}

/// Rows `first .. first + count` of a column of `m`.
fn part<B: Memory>(
    column: &mut WorkspaceBuffer<B>,
    m: usize,
    first: usize,
    count: usize,
) -> Result<ViewMut<'_, B::Buffer>> {
    column.view_mut(m)?.part(first, count)
}

impl<B: Backend> Columns<B> {
    /// Reads the values of `m` rows.
    pub fn read(&self, backend: &B, m: usize, asked: Asked) -> Result<HostColumns> {
        let read = |column: &WorkspaceBuffer<B>, is_asked: bool| {
            let mut host = vec![0.0; if is_asked { m } else { 0 }];
            if is_asked {
                backend.read(column.view(m)?, &mut host)?;
            }
            Ok::<_, tunesmith_ops::Error>(host)
        };
        Ok(HostColumns {
            log_prob: read(&self.log_prob, true)?,
            entropy: read(&self.entropy, true)?,
            hit: read(&self.hit, true)?,
            log_sum_exp: read(&self.log_sum_exp, asked.log_sum_exp)?,
            mean_log_prob: read(&self.mean_log_prob, asked.mean_log_prob)?,
            log_sum_squares: read(&self.log_sum_squares, asked.log_sum_squares)?,
            mean_logit: read(&self.mean_logit, asked.mean_logit)?,
        })
    }
}
