//! Benchmark of `cross_entropy`: a chunk of 128 rows of the whole vocabulary.

use tunesmith_ops::{Backend, LogitTransform, Result};

use crate::bench::{Bench, Work};

/// Times loss and gradient.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (m, v, backend, stage) = (128, bench.model.vocabulary, bench.backend, bench.stage());
    let mut logits = stage.floats(&bench.inputs.uniform(m * v, 4.0))?;
    let labels = stage.integers(&bench.inputs.integers(m, v))?;
    let weights = stage.floats(&vec![1.0; m])?;
    let (mut nll, mut entropy, mut correct) = (stage.output(m)?, stage.output(m)?, stage.output(m)?);
    let transforms = [
        ("cross_entropy", LogitTransform::default()),
        ("cross_entropy capped", LogitTransform { factor: 1.0, soft_cap: Some(30.0) }),
    ];
    for (name, transform) in transforms {
        bench.time(name, Work::Bytes(2 * 4 * m * v), || {
            let (logits, weights) = (logits.view_mut(), Some(weights.view()));
            let (nll, entropy, correct) = (nll.view_mut(), entropy.view_mut(), correct.view_mut());
            backend.cross_entropy(m, v, transform, logits, labels.view(), weights, nll, entropy, correct)
        })?;
    }
    Ok(())
}
