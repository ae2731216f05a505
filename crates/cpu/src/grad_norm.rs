//! `grad_norm`: squares added in float64.

use tunesmith_ops::{Clip, GradNorm, Result, View, grad_norm};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::simd::{Kernel, Simd};
use crate::views::floats;

/// Elements of one partial sum.
const CHUNK: usize = 4096;

/// Sum of squares of one chunk: eight chains, element `i` in chain `i mod 8`, added in order.
struct Squares<'a>(&'a [f32]);

impl Kernel for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let mut chains = [0.0_f64; 8];
        for group in self.0.chunks(8) {
            for (chain, &x) in chains.iter_mut().zip(group) {
                *chain += f64::from(x) * f64::from(x);
            }
        }
        chains.into_iter().sum()
    }
}

/// A norm and the factor it puts on the gradient.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    norm: f64,
    factor: f64,
}

impl Norm {
    /// The factor; none when the norm is not finite.
    pub(crate) fn factor(self) -> Option<f64> {
        self.norm.is_finite().then_some(self.factor)
    }
}

impl GradNorm for Cpu {
    type Norm = Norm;

    fn grad_norm(&self, clip: &Clip, tensors: &[View<'_, Buffer>]) -> Result<Norm> {
        grad_norm::check(tensors)?;
        let mut chunks = Vec::new();
        for &tensor in tensors {
            chunks.extend(floats(tensor).chunks(CHUNK));
        }
        let mut sums = vec![0.0; chunks.len()];
        self.pool.each(sums.iter_mut().zip(chunks), |_, (sum, chunk)| {
            *sum = self.isa.run(Squares(chunk));
        })?;
        let norm = clip.norm(sums.into_iter().sum());
        Ok(Norm { norm, factor: clip.factor(norm) })
    }

    fn read_norm(&self, norm: &Norm) -> Result<f64> {
        Ok(norm.norm)
    }
}
