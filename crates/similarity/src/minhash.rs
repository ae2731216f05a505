//! MinHash signatures in bands: sets that are alike are likely to have a band in common (Broder 1997, Indyk and Motwani 1998).

use std::array;

use crate::hash::{mix, of_sequence};

/// Bands of a signature.
pub const BANDS: usize = 32;
/// Minima of a band. Two sets of Jaccard similarity s share a band with the probability 1 - (1 - s⁶)³²: 0.9999 at 0.8, 0.98 at 0.7,
/// 0.02 at 0.3.
const ROWS: usize = 6;

/// One number a band.
pub type BandKeys = [u64; BANDS];

/// The hash functions of all bands: an odd factor and a summand each.
pub struct Permutations([[(u64, u64); ROWS]; BANDS]);

impl Permutations {
    /// The same functions in every run.
    pub fn new() -> Self {
        let mut counter = 0_u64;
        let mut draw = || {
            counter = counter.wrapping_add(1);
            mix(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        };
        Self(array::from_fn(|_| array::from_fn(|_| (draw() | 1, draw()))))
    }

    /// The bands of a set.
    pub fn bands(&self, set: &[u64]) -> BandKeys {
        self.0.map(|band| of_sequence(band.into_iter().map(|function| minimum(set, function))))
    }
}

/// The upper halves compare as if they were drawn for each shingle.
fn minimum(set: &[u64], (factor, summand): (u64, u64)) -> u64 {
    set.iter().map(|shingle| shingle.wrapping_mul(factor).wrapping_add(summand) >> 32).min().unwrap_or(u64::MAX)
}
