//! Suite of `grad_norm`.

use tunesmith_ops::grad_norm::reference;
use tunesmith_ops::{Clip, GradNorm, Result};

use crate::inputs::wide;
use crate::{Record, Stage};

/// What a step divides by; clipping shows in `adamw`.
const CLIP: Clip = Clip { denominator: 3.0, max_grad_norm: Some(1.0) };

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: GradNorm>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    let b = stage.backend;
    for lengths in [&[][..], &[0], &[1], &[4095], &[4096], &[4097], &[4097, 0, 1, 9000]] {
        let tensors: Vec<_> = lengths.iter().map(|&len| inputs.finite(len)).collect();
        let staged = tensors.iter().map(|x| stage.floats(x)).collect::<Result<Vec<_>>>()?;
        let views: Vec<_> = staged.iter().map(crate::stage::Staged::view).collect();
        let got = b.read_norm(&b.grad_norm(&CLIP, &views)?)?;
        let wide: Vec<_> = tensors.iter().map(|x| wide(x)).collect();
        let want = reference::squared_sum(wide.iter().map(Vec::as_slice)).sqrt() / CLIP.denominator;
        let error = if want > 0.0 { (got - want).abs() / want } else { got.abs() };
        // The sum is float64: its two halves stand for it in the digest.
        let halves = [(got.to_bits() >> 32) as u32, got.to_bits() as u32].map(f32::from_bits);
        record.measured(format!("grad_norm {lengths:?}"), error, 1e-12, &halves);
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = inputs.finite(5000);
        x[4999] = bad;
        let got = b.read_norm(&b.grad_norm(&CLIP, &[stage.floats(&x)?.view()])?)?;
        record.compare(format!("grad_norm with {bad}"), &[got as f32], &[f64::NAN], 0.0);
    }
    let ids = stage.integers(&[1])?;
    record.refused("grad_norm of integers", &b.grad_norm(&CLIP, &[ids.view()]));
    Ok(())
}
