//! Whether a merged model says what the base says with its adapter on: the logits of one prompt, compared.

use std::sync::Arc;

use tunesmith_formats::ModelFiles;
use tunesmith_ops::{Backend, Error, Result};

use super::options::SessionOptions;
use super::state::Session;
use crate::batch::Batch;

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitCheck {
    /// Positions compared.
    pub tokens: usize,
    /// Largest absolute difference of two logits.
    pub largest_difference: f64,
    /// Largest absolute logit, which the difference is to be seen against.
    pub largest_logit: f64,
    /// Share of positions at which the likeliest token is the same.
    pub top1_agreement: f64,
}

/// Loads one model after the other, and compares their logits of `ids`.
///
/// # Errors
/// Those of loading; `ArgumentInvalid` for ids that a vocabulary lacks, or none.
pub fn compare_logits<B: Backend>(
    backend: &Arc<B>,
    expected: (&ModelFiles, &SessionOptions),
    got: (&ModelFiles, &SessionOptions),
    ids: &[i32],
) -> Result<LogitCheck> {
    if ids.is_empty() {
        return Err(Error::argument("merge.prompt", "at least one token", "none"));
    }
    let expected = logits(backend, expected, ids)?;
    let got = logits(backend, got, ids)?;
    let vocab = expected.len() / ids.len();
    let agreeing = expected.chunks(vocab).zip(got.chunks(vocab)).filter(|(a, b)| likeliest(a) == likeliest(b)).count();
    let largest =
        |values: &mut dyn Iterator<Item = f32>| values.fold(0.0_f64, |most, value| most.max(f64::from(value).abs()));
    Ok(LogitCheck {
        tokens: ids.len(),
        largest_difference: largest(&mut expected.iter().zip(&got).map(|(a, b)| a - b)),
        largest_logit: largest(&mut expected.iter().copied()),
        top1_agreement: agreeing as f64 / ids.len() as f64,
    })
}

fn logits<B: Backend>(backend: &Arc<B>, model: (&ModelFiles, &SessionOptions), ids: &[i32]) -> Result<Vec<f32>> {
    let (files, options) = model;
    let mut session = Session::new(Arc::clone(backend), files.config.clone(), &*files.source, "", options)?;
    let positions: Vec<i32> = (0..ids.len() as i32).collect();
    let starts = [0, ids.len() as i32];
    session.logits(&Batch {
        input_ids: ids,
        labels: ids,
        positions: &positions,
        sequence_starts: &starts,
        weights: None,
        row_ids: None,
    })
}

/// The place of the largest logit; the lowest id wins a tie.
fn likeliest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best
}
