//! `nf4`: taking quantised weights.

use tunesmith_ops::{Nf4, Nf4Matrix, Result};

use crate::Cuda;
use crate::weight::Weight;

impl Nf4 for Cuda {
    fn nf4_prepare(&self, n: usize, k: usize, matrix: Nf4Matrix<'_>) -> Result<Weight> {
        self.prepare_nf4(n, k, matrix)
    }
}
