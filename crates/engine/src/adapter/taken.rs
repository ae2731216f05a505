//! What a new adapter takes out of its base: its first factors, and the weight that is left under them.

use std::sync::Arc;

use tunesmith_formats::InitLoraWeights;
use tunesmith_ops::{Backend, Code, Error, Host, Result};

use super::decompose::{Sizes, take_out};
use super::values::matrix_values;
use crate::families::names;
use crate::layer::{FrozenWeights, Linear, Weight};

/// Factors and what they leave.
pub struct Taken<B: Backend> {
    /// `A[r, k]` and `B[n, r]`.
    pub factors: [Vec<f32>; 2],
    /// The weight without `scale · B A`.
    pub rest: Weight<B>,
}

/// Takes the first factors of an adapter out of a layer's weight; None where `init` takes nothing.
///
/// # Errors
/// `ModelUnsupported` for a weight in four bits or a tied head; those of [`take_out`]; whatever the backend fails with.
pub fn take<B: Backend>(
    backend: &B,
    linear: &Linear<B>,
    init: InitLoraWeights,
    (r, scale): (usize, f32),
    frozen: FrozenWeights,
) -> Result<Option<Taken<B>>> {
    let refuse = |got: &str, advice: &str| {
        let message =
            format!("expected a weight of its own in 32 or 16 bits to take singular values from, got {got}; {advice}");
        Err(Error::new(Code::ModelUnsupported, &linear.module, message))
    };
    if !init.changes_base() {
        return Ok(None);
    }
    let is_head = linear.module == names::HEAD;
    if is_head && frozen.tied {
        return refuse("a head that is the embedding too", "leave lm_head out, or choose another initLoraWeights");
    }
    if !is_head && frozen.four_bits {
        return refuse("one in four bits", "load the model without loadIn4bit, or choose another initLoraWeights");
    }
    let (n, k) = (linear.n, linear.k);
    let sizes = Sizes { n, k, r, scale };
    let prepared = |rest: &[f32]| backend.prepare_weight(n, k, Host::F32(rest), frozen.storage).map(Arc::new);
    if !backend.keeps_values() {
        let zeros = [vec![0.0; r * k], vec![0.0; n * r]];
        return Ok(Some(Taken { factors: zeros, rest: Weight::Frozen(prepared(&[])?) }));
    }
    let mut w = matrix_values(backend, &linear.weight, n, k)?;
    let Some(taken) = take_out(init, &mut w, sizes)? else { return Ok(None) };
    Ok(Some(Taken { factors: taken, rest: Weight::Frozen(prepared(&w)?) }))
}
