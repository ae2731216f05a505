//! Four-bit weights turned into float32, a part of a matrix at a time.

use tunesmith_ops::Nf4Matrix;
use tunesmith_ops::nf4::NF4;

use crate::simd::{Kernel, NF4_RUN, Simd};

/// Rows of `columns` elements, `from_stride` apart in the matrix and `stride` apart in the target. The first element has the
/// flat index `first`; the elements of a target row beyond `columns` become zero.
pub(crate) struct Decode<'a, 't> {
    matrix: Nf4Matrix<'a>,
    first: usize,
    from_stride: usize,
    columns: usize,
    target: &'t mut [f32],
    stride: usize,
}

impl<'a, 't> Decode<'a, 't> {
    /// As many rows as `target` has room for at its stride.
    pub(crate) fn part(
        matrix: Nf4Matrix<'a>,
        first: usize,
        from_stride: usize,
        columns: usize,
        (target, stride): (&'t mut [f32], usize),
    ) -> Self {
        Self { matrix, first, from_stride, columns, target, stride }
    }
}

impl Kernel for Decode<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { matrix, first, from_stride, columns, target, stride } = self;
        for (row, line) in target.chunks_exact_mut(stride.max(1)).enumerate() {
            let (live, rest) = line.split_at_mut(columns);
            decode_run(s, matrix, first + row * from_stride, live);
            rest.fill(0.0);
        }
    }
}

/// Consecutive elements from flat index `first` on, block by block.
#[inline(always)]
fn decode_run<S: Simd>(s: S, matrix: Nf4Matrix<'_>, first: usize, mut target: &mut [f32]) {
    let shift = matrix.block_size.trailing_zeros();
    let mut flat = first;
    while !target.is_empty() {
        let block = flat >> shift;
        let (now, later) = target.split_at_mut(target.len().min(((block + 1) << shift) - flat));
        decode_block(s, matrix.codes, flat, matrix.scale(block), now);
        flat += now.len();
        target = later;
    }
}

/// Elements of one block.
#[inline(always)]
fn decode_block<S: Simd>(s: S, codes: &[u8], flat: usize, scale: f32, target: &mut [f32]) {
    let value = |flat: usize| {
        let byte = codes[flat / 2];
        NF4[usize::from(if flat.is_multiple_of(2) { byte >> 4 } else { byte & 15 })] * scale
    };
    let odd = flat % 2;
    let (head, rest) = target.split_at_mut(odd);
    if let [head] = head {
        *head = value(flat);
    }
    let flat = flat + odd;
    let (table, bytes) = (s.nf4_table(scale), &codes[flat / 2..]);
    let whole = rest.len() / NF4_RUN * NF4_RUN;
    assert!(whole / 2 <= bytes.len(), "the codes are too short");
    for (run, place) in rest.chunks_exact_mut(NF4_RUN).enumerate() {
        // SAFETY: the codes are as long as asserted, the place as long as a run.
        unsafe { s.nf4_values(table, bytes.as_ptr().add(run * NF4_RUN / 2), place.as_mut_ptr()) };
    }
    for (i, place) in rest.iter_mut().enumerate().skip(whole) {
        *place = value(flat + i);
    }
}
