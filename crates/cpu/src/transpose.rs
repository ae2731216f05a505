//! Transposition of a part of a row-major matrix.

use crate::operand::Right;

/// Block edge: 16 rows of 16 elements are one cache line each way.
const BLOCK: usize = 16;

/// `target[c · stride + r] = scale · source[r · source.stride + c]` for `r < rows`, `c < columns`; the elements
/// `rows .. width` of each target row become zero.
pub(crate) fn transpose(
    source: Right<'_>,
    rows: usize,
    columns: usize,
    scale: f32,
    target: &mut [f32],
    stride: usize,
    width: usize,
) {
    for first in (0..columns).step_by(BLOCK) {
        let last = (first + BLOCK).min(columns);
        for r in 0..rows {
            let line = &source.data[r * source.stride + first..r * source.stride + last];
            for (c, &x) in line.iter().enumerate() {
                target[(first + c) * stride + r] = scale * x;
            }
        }
        for c in first..last {
            target[c * stride + rows..c * stride + width].fill(0.0);
        }
    }
}
