//! Benchmark of `cross_entropy`: a quarter of the tokens over the whole vocabulary, with none, half and most of them ignored,
//! and the whole head of a model.

use tunesmith_ops::{Backend, IGNORE_INDEX, LogitTransform, Result};

use crate::bench::{Bench, Work};

/// Times loss and gradient.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    for ignored in [0, 50, 90] {
        case(bench, &format!("cross_entropy {ignored}% ignored"), ignored, LogitTransform::default())?;
    }
    case(bench, "cross_entropy capped", 0, LogitTransform { factor: 1.0, soft_cap: Some(30.0) })?;
    bench.time_head("linear_cross_entropy frozen")
}

fn case<B: Backend>(bench: &mut Bench<'_, B>, name: &str, ignored: usize, transform: LogitTransform) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let (m, v, backend) = ((bench.tokens / 4).max(1), bench.model.vocabulary, bench.backend);
    let (logits, first) = (bench.output(m * v)?, bench.activations(m * v, 4.0)?);
    let mut labels = bench.inputs.integers(m, v);
    for (row, label) in labels.iter_mut().enumerate() {
        if row % 10 * 10 < ignored {
            *label = IGNORE_INDEX;
        }
    }
    let read = labels.iter().filter(|label| **label != IGNORE_INDEX).count();
    let labels = bench.integers(&labels)?;
    let weights = bench.constant(1.0, m)?;
    let (mut nll, mut entropy, mut correct) =
        (bench.output_floats(m)?, bench.output_floats(m)?, bench.output_floats(m)?);
    // An ignored row is written and not read.
    bench.time_in_place(
        name,
        Work::Bytes((read + m) * v * bench.width()),
        logits,
        |logits| backend.copy(first.view(), logits.view_mut()),
        |logits| {
            let (logits, weights) = (logits.view_mut(), Some(weights.view()));
            let (nll, entropy, correct) = (nll.view_mut(), entropy.view_mut(), correct.view_mut());
            backend.cross_entropy(m, v, transform, logits, labels.view(), weights, nll, entropy, correct)
        },
    )
}
