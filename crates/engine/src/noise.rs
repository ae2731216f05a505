//! Noise on the embeddings of a training pass: NEFTune (Jain et al. 2023, arXiv:2310.05914).
//!
//! Each element gets a uniform number in (−1, 1) times `alpha / √(L · d)`, after whatever a family multiplies its embeddings by. L is
//! the number of tokens of the row itself. Hugging Face takes that of the padded batch, so that there a row's noise depends on the
//! rows that it happens to lie with.

use tunesmith_ops::{Backend, Error, Host, Memory, Result, View, ViewMut};

use crate::internal::internal;

/// What is added to the embeddings of a pass.
pub enum EmbeddingNoise<B: Memory> {
    /// Drawn where it is added, keyed by row and position.
    Drawn {
        /// Key of the generator: one for each seed and step.
        key: u64,
        /// Largest noise of each token `[T]`, float32.
        magnitudes: B::Buffer,
    },
    /// Recorded values `[T, d]`, in activations.
    Given(B::Buffer),
}

/// Largest noise of each token `[T]`.
fn magnitudes(alpha: f64, lengths: &[usize], d: usize) -> Vec<f32> {
    let of_row = |len: &usize| std::iter::repeat_n((alpha / ((len * d) as f64).sqrt()) as f32, *len);
    lengths.iter().flat_map(of_row).collect()
}

/// Checks `alpha` where there is one.
///
/// # Errors
/// `ArgumentInvalid` for a negative or endless one.
pub fn check(alpha: Option<f64>) -> Result<()> {
    match alpha.filter(|alpha| !alpha.is_finite() || *alpha < 0.0) {
        Some(alpha) => Err(Error::argument("session.neftuneNoiseAlpha", "a finite number, at least 0", alpha)),
        None => Ok(()),
    }
}

impl<B: Backend> EmbeddingNoise<B> {
    /// Noise that is drawn, for rows of these lengths.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn drawn(backend: &B, alpha: f64, key: u64, lengths: &[usize], d: usize) -> Result<Self> {
        let magnitudes = backend.upload(Host::F32(&magnitudes(alpha, lengths, d)))?;
        Ok(Self::Drawn { key, magnitudes })
    }

    /// Noise that was recorded, in (−1, 1): `unit[T, d]` in place of random numbers.
    ///
    /// # Errors
    /// `ArgumentInvalid` for another number of values, `OutOfMemory`.
    pub fn given(backend: &B, alpha: f64, unit: &[f32], lengths: &[usize], d: usize) -> Result<Self> {
        let magnitudes = magnitudes(alpha, lengths, d);
        if unit.len() != magnitudes.len() * d {
            return Err(Error::argument("noise", format!("{} tokens of {d} values", magnitudes.len()), unit.len()));
        }
        let rows = unit.chunks_exact(d).zip(&magnitudes);
        let values: Vec<f32> = rows.flat_map(|(row, magnitude)| row.iter().map(move |u| u * magnitude)).collect();
        let mut buffer = backend.zeros(backend.activation_dtype(), values.len())?;
        backend.write(Host::F32(&values), ViewMut::new(&mut buffer, 0, values.len()))?;
        Ok(Self::Given(buffer))
    }

    /// Adds it to the embeddings `x[m, d]` of all tokens of its pass. `places` are their rows and positions, which drawn noise needs.
    ///
    /// # Errors
    /// `Internal` when those are not there; whatever the backend fails with.
    pub fn add(
        &self,
        backend: &B,
        (m, d): (usize, usize),
        places: Option<[View<'_, B::Buffer>; 2]>,
        x: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        match (self, places) {
            (Self::Given(values), _) => backend.add(View::new(values, 0, m * d), x),
            (Self::Drawn { key, magnitudes }, Some([row_ids, positions])) => {
                backend.neftune(m, d, *key, row_ids, positions, View::new(magnitudes, 0, m), x)
            }
            (Self::Drawn { .. }, None) => Err(internal("noise", "the rows of the tokens")),
        }
    }
}
