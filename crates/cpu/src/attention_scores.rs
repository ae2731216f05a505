//! Blocks of queries of `attention`, the keys that they see, and the layout of their scores: shared by forward and backward.

use std::ops::Range;

use tunesmith_ops::Sequence;

use crate::simd::Simd;

/// Queries of one block: two register tiles of AVX-512, four of AVX2.
pub(crate) const QUERIES: usize = 24;

/// Keys that any of the queries `block` sees.
pub(crate) fn reach_of_block(sequence: Sequence, block: &Range<usize>, window: Option<usize>) -> Range<usize> {
    sequence.reach(block.start, window).start..sequence.reach(block.end - 1, window).end
}

/// The blocks of queries of a sequence.
pub(crate) fn blocks(sequence: Sequence) -> impl Iterator<Item = Range<usize>> {
    (0..sequence.queries).step_by(QUERIES).map(move |first| first..(first + QUERIES).min(sequence.queries))
}

/// Columns in which the scores over `keys` keys are computed: whole register tiles, the last of them of no use.
pub(crate) fn score_width(keys: usize) -> usize {
    keys.next_multiple_of(16)
}

/// Elements of a row of scores over `keys` keys: room for the width from any first key on, and never a power of two, whose
/// rows would all fall into the same few sets of the cache.
pub(crate) fn score_stride(keys: usize) -> usize {
    score_width(keys) + 48
}

/// Replaces products of queries and keys by `cap · tanh(scale · s / cap)`.
#[inline(always)]
pub(crate) fn cap_scores<S: Simd>(s: S, scores: &mut [f32], scale: f32, cap: f32) {
    for i in (0..scores.len()).step_by(S::LANES) {
        let v = s.tanh(s.mul(s.load(&scores[i..]), s.splat(scale / cap)));
        s.store(&mut scores[i..], s.mul(v, s.splat(cap)));
    }
}
