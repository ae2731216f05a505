//! Transposition of a part of a row-major matrix.

use super::operand::Right;
use crate::simd::{Kernel, Simd};

/// `target[c · stride + r] = source[r · source.stride + c]` for `r < rows`, `c < columns`; the elements `rows .. width` of
/// each target row become zero.
pub(crate) struct Transpose<'a> {
    pub(crate) source: Right<'a>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) target: &'a mut [f32],
    pub(crate) stride: usize,
    pub(crate) width: usize,
}

impl Kernel for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { source, rows, columns, target, stride, width } = self;
        if columns == 0 {
            return;
        }
        assert!(source.fits(rows, columns), "the source is too short");
        assert!(rows <= width && (columns - 1) * stride + width <= target.len(), "the target is too short");
        let (whole_rows, whole_columns) = (rows - rows % S::LANES, columns - columns % S::LANES);
        for c in (0..whole_columns).step_by(S::LANES) {
            for r in (0..whole_rows).step_by(S::LANES) {
                // SAFETY: the square lies inside both matrices, as asserted.
                unsafe {
                    let from = source.data.as_ptr().add(r * source.stride + c);
                    s.transpose(from, source.stride, target.as_mut_ptr().add(c * stride + r), stride);
                }
            }
        }
        for (c, target) in target.chunks_mut(stride).take(columns).enumerate() {
            let first = if c < whole_columns { whole_rows } else { 0 };
            for (r, place) in target[..rows].iter_mut().enumerate().skip(first) {
                *place = source.data[r * source.stride + c];
            }
            target[rows..width].fill(0.0);
        }
    }
}
