//! `nf4`: quantising to four bits, and taking quantised weights.

use tunesmith_ops::nf4::{SMALLEST, check_quantize, midpoints};
use tunesmith_ops::{Nf4, Nf4Matrix, Result};

use crate::Cpu;
use crate::simd::{Kernel, Simd};
use crate::weight::Weight;

/// Elements of one piece of a matrix that is quantised: whole blocks of every size.
const PIECE: usize = 64 * 1024;

/// Consecutive blocks.
struct Encode<'a> {
    w: &'a [f32],
    block_size: usize,
    codes: &'a mut [u8],
    absmax: &'a mut [f32],
}

impl Kernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { w, block_size, codes, absmax } = self;
        let blocks = w.chunks(block_size).zip(codes.chunks_mut(block_size / 2));
        for ((block, codes), scale) in blocks.zip(absmax) {
            if block.len() < block_size {
                *scale = encode_tail(block, codes);
                continue;
            }
            let mut largest = s.splat(0.0);
            for x in block.chunks_exact(S::LANES) {
                let x = s.load(x);
                largest = s.max(largest, s.max(x, s.sub(s.splat(0.0), x)));
            }
            *scale = s.largest(largest);
            let reciprocal = s.splat(1.0 / scale.max(SMALLEST));
            let (one, minus_one) = (s.splat(1.0), s.splat(-1.0));
            for (x, bytes) in block.chunks_exact(S::LANES).zip(codes.chunks_exact_mut(S::LANES / 2)) {
                let x = s.max(minus_one, s.min(one, s.mul(s.load(x), reciprocal)));
                // SAFETY: a piece of the codes has `LANES / 2` bytes.
                unsafe { s.nf4_codes(x, bytes.as_mut_ptr()) };
            }
        }
    }
}

/// The last block, where it is not whole: its codes, and its scale.
fn encode_tail(block: &[f32], codes: &mut [u8]) -> f32 {
    let midpoints = midpoints();
    let scale = block.iter().fold(SMALLEST, |most, w| most.max(w.abs()));
    let code = |w: &f32| midpoints.iter().filter(|&&midpoint| midpoint < w / scale).count() as u8;
    for (pair, byte) in block.chunks(2).zip(codes) {
        *byte = code(&pair[0]) << 4 | pair.get(1).map_or_else(|| code(&0.0), code);
    }
    scale
}

impl Nf4 for Cpu {
    fn nf4_quantize(&self, w: &[f32], block_size: usize, codes: &mut [u8], absmax: &mut [f32]) -> Result<()> {
        check_quantize(w.len(), block_size, codes.len(), absmax.len())?;
        let outputs = codes.chunks_mut(PIECE / 2).zip(absmax.chunks_mut(PIECE / block_size));
        self.pool.each(w.chunks(PIECE).zip(outputs), |_, (w, (codes, absmax))| {
            self.isa.run(Encode { w, block_size, codes, absmax });
        })
    }

    fn nf4_prepare(&self, n: usize, k: usize, matrix: Nf4Matrix<'_>) -> Result<Weight> {
        Weight::of_nf4(self, n, k, matrix)
    }
}
