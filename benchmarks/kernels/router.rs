//! Benchmark of `router`: a batch over 128 experts, 8 for each token, as Qwen3's mixture has them.

use tunesmith_ops::{Backend, Result, RouterShape};

use crate::bench::{Bench, Work};

/// Times routing, grouping and combining, and both gradients.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (t, d, backend, width) = (bench.tokens, bench.model.hidden, bench.backend, bench.width());
    let shape = RouterShape { t, experts: 128, top_k: 8, normalize: true };
    let slots = t * shape.top_k;
    let logits = bench.activations(t * shape.experts, 4.0)?;
    let (mut probabilities, mut weights) = (bench.output_floats(t * shape.experts)?, bench.output_floats(slots)?);
    let mut chosen = bench.integers(&vec![0; slots])?;
    bench.time("router_forward", Work::Bytes((width + 4) * t * shape.experts), || {
        let (probabilities, weights) = (probabilities.view_mut(), weights.view_mut());
        backend.router_forward(shape, logits.view(), probabilities, chosen.view_mut(), weights)
    })?;
    let (mut tokens, mut places) = (bench.integers(&vec![0; slots])?, bench.integers(&vec![0; slots])?);
    let mut starts = bench.integers(&vec![0; shape.experts + 1])?;
    bench.time("router_group", Work::Bytes(4 * 4 * slots), || {
        backend.router_group(shape, chosen.view(), tokens.view_mut(), places.view_mut(), starts.view_mut())
    })?;
    let (dweights, mut dlogits) = (bench.floats(slots, 1.0)?, bench.output(t * shape.experts)?);
    bench.time("router_backward", Work::Bytes((width + 4) * t * shape.experts), || {
        let (probabilities, dweights) = (probabilities.view(), dweights.view());
        backend.router_backward(shape, probabilities, chosen.view(), dweights, dlogits.view_mut())
    })?;
    let (x, mut y) = (bench.activations(slots * d, 1.0)?, bench.output(t * d)?);
    bench.time("combine_forward", Work::Bytes(width * (slots + t) * d), || {
        backend.combine_forward(shape, d, x.view(), places.view(), weights.view(), y.view_mut())
    })?;
    let (mut dx, mut dweights) = (bench.output(slots * d)?, bench.output_floats(slots)?);
    bench.time("combine_backward", Work::Bytes(width * (2 * slots + t) * d), || {
        let (dx, dweights) = (dx.view_mut(), dweights.view_mut());
        backend.combine_backward(shape, d, y.view(), x.view(), places.view(), weights.view(), dx, dweights)
    })
}
