//! Frozen tensors of a decoder, copied to the host.

use tunesmith_ops::{Backend, Result, View};

use crate::layer::{Vector, Weight};

/// The elements of a frozen matrix.
///
/// # Errors
/// `Internal` for a trained one; whatever the backend's copy fails with.
pub fn matrix_values<B: Backend>(backend: &B, weight: &Weight<B>, n: usize, k: usize) -> Result<Vec<f32>> {
    let Weight::Frozen(weight) = weight else {
        return Err(crate::internal::internal("adapter", "a frozen weight to copy"));
    };
    let mut host = vec![0.0; n * k];
    backend.read_weight(weight, 0, n, &mut host)?;
    Ok(host)
}

/// Some rows of a frozen matrix, one after the other.
///
/// # Errors
/// As [`matrix_values`].
pub fn matrix_rows<B: Backend>(backend: &B, weight: &Weight<B>, rows: &[usize], k: usize) -> Result<Vec<f32>> {
    let Weight::Frozen(weight) = weight else {
        return Err(crate::internal::internal("adapter", "a frozen weight to copy"));
    };
    let mut host = vec![0.0; rows.len() * k];
    for (row, out) in rows.iter().zip(host.chunks_mut(k)) {
        backend.read_weight(weight, *row, 1, out)?;
    }
    Ok(host)
}

/// The elements of a frozen vector.
///
/// # Errors
/// As [`matrix_values`].
pub fn vector_values<B: Backend>(backend: &B, vector: &Vector<B>) -> Result<Vec<f32>> {
    let Vector::Frozen(buffer, len) = vector else {
        return Err(crate::internal::internal("adapter", "a frozen vector to copy"));
    };
    let mut host = vec![0.0; *len];
    backend.read(View::new(buffer, 0, *len), &mut host)?;
    Ok(host)
}
