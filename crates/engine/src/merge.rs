//! The weights an adapter amounts to: `W + s · B A`.

use tunesmith_ops::{Backend, Result};

use crate::linear::{Linear, Weight};
use crate::parameters::Parameters;

/// The matrix `[n, k]` of a linear layer with its adapter merged in, row-major binary32 on the host.
///
/// # Errors
/// Whatever the backend's copy fails with.
pub fn merged_weight<B: Backend>(backend: &B, parameters: &Parameters<B>, linear: &Linear<B>) -> Result<Vec<f32>> {
    let (n, k) = (linear.n, linear.k);
    let mut weight = match &linear.weight {
        Weight::Frozen(weight) => {
            let mut host = vec![0.0; n * k];
            backend.read_weight(weight, 0, n, &mut host)?;
            host
        }
        Weight::Trained(id) => parameters.read(backend, *id)?,
    };
    if let Some(slot) = &linear.lora {
        let a = parameters.read(backend, slot.a)?;
        let b = parameters.read(backend, slot.b)?;
        for (row, b_row) in weight.chunks_mut(k).zip(b.chunks(slot.r)) {
            for (factor, a_row) in b_row.iter().zip(a.chunks(k)) {
                let factor = slot.scale * factor;
                for (value, a) in row.iter_mut().zip(a_row) {
                    *value += factor * a;
                }
            }
        }
    }
    Ok(weight)
}
