//! `attention`: causal attention over sequences of unequal length, without padding.

use crate::error::Result;
use crate::memory::{Memory, View, ViewMut};

/// Heads and mask of one attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`. Query head `i` reads head `i / (heads / kv_heads)` (GQA, arXiv:2305.13245).
    pub kv_heads: usize,
    /// Head size `h`.
    pub head_dim: usize,
    /// Multiplied with each score, usually `1 / √h`.
    pub scale: f32,
    /// Sliding window: query `i` sees keys `j` with `0 ≤ i − j < window`. None: all earlier keys.
    pub window: Option<usize>,
}

/// Where each sequence's queries and keys lie. Queries are aligned to the end of their keys: query `q` of a sequence with
/// `lq` queries and `lk` keys stands at position `lk − lq + q`. In training `lq = lk`; in decoding `lk` counts the cache.
#[derive(Debug, Clone, Copy)]
pub struct Sequences<'a> {
    /// First query row of each sequence, and the total at the end (`n + 1` values, ascending).
    pub query_starts: &'a [usize],
    /// First key row of each sequence (`n` values; the ranges may lie anywhere).
    pub key_starts: &'a [usize],
    /// Keys of each sequence (`n` values, at least its number of queries).
    pub key_lengths: &'a [usize],
}

/// Softmax attention (FlashAttention's variable-length interface, Dao 2023, arXiv:2307.08691).
///
/// Letters: `tq` query rows, `tk` key rows. Forward saves `lse[tq, heads]`, the logarithm of the sum of exponentials of
/// the scaled scores. A row's bits depend on its own sequence only. Tolerance f32: forward 5e-6, backward 2e-5 relative to
/// the largest output. Edge sizes: lengths 1, 2, 31, 32, 33, 130; h in 16, 64, 80; window 1, 8; groups 1, 3, 4.
pub trait Attention: Memory {
    /// `out[tq, heads, h]` and, where given, `lse`; writes. `q[tq, heads, h]`, `k` and `v[tk, kv_heads, h]`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a window or a sequence does not fit.
    fn attention_forward(
        &self,
        shape: &AttentionShape,
        sequences: Sequences<'_>,
        q: View<'_, Self::Buffer>,
        k: View<'_, Self::Buffer>,
        v: View<'_, Self::Buffer>,
        out: ViewMut<'_, Self::Buffer>,
        lse: Option<ViewMut<'_, Self::Buffer>>,
    ) -> Result<()>;

    /// `dq`, `dk`, `dv` from `dout`; writes. Only for `lq = lk` and key rows equal to query rows (training).
    ///
    /// # Errors
    /// `ArgumentInvalid` when a window or a sequence does not fit.
    fn attention_backward(
        &self,
        shape: &AttentionShape,
        sequences: Sequences<'_>,
        q: View<'_, Self::Buffer>,
        k: View<'_, Self::Buffer>,
        v: View<'_, Self::Buffer>,
        out: View<'_, Self::Buffer>,
        lse: View<'_, Self::Buffer>,
        dout: View<'_, Self::Buffer>,
        dq: ViewMut<'_, Self::Buffer>,
        dk: ViewMut<'_, Self::Buffer>,
        dv: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}
