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

/// The same in binary64, written for reading: one query at a time, all probabilities spelt out.
pub mod reference {
    use super::{AttentionShape, Sequences};

    /// Inputs of a backward pass besides the outputs' gradient.
    #[derive(Debug, Clone, Copy)]
    pub struct Inputs<'a> {
        /// Queries `[tq, heads, h]`.
        pub q: &'a [f64],
        /// Keys `[tk, kv_heads, h]`.
        pub k: &'a [f64],
        /// Values `[tk, kv_heads, h]`.
        pub v: &'a [f64],
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    /// Calls `visit(query row, head, keys)` for every query and head; a key is (key row, probability). Gives `lse`.
    fn each_query(
        shape: &AttentionShape,
        sequences: Sequences<'_>,
        inputs: Inputs<'_>,
        mut visit: impl FnMut(usize, usize, &[(usize, f64)]),
    ) -> Vec<f64> {
        let (heads, kv_heads, h) = (shape.heads, shape.kv_heads, shape.head_dim);
        let mut lse = Vec::new();
        for (s, range) in sequences.query_starts.windows(2).enumerate() {
            for query in range[0]..range[1] {
                let position = sequences.key_lengths[s] - (range[1] - query);
                let first = shape.window.map_or(0, |w| (position + 1).saturating_sub(w));
                for head in 0..heads {
                    let q = &inputs.q[(query * heads + head) * h..][..h];
                    let score = |j: usize| {
                        let row = sequences.key_starts[s] + j;
                        let place = (row * kv_heads + head / (heads / kv_heads)) * h;
                        (row, f64::from(shape.scale) * dot(q, &inputs.k[place..place + h]))
                    };
                    let mut keys: Vec<_> = (first..=position).map(score).collect();
                    let largest = keys.iter().fold(f64::NEG_INFINITY, |a, k| a.max(k.1));
                    let sum: f64 = keys.iter().map(|k| (k.1 - largest).exp()).sum();
                    let log_sum = largest + sum.ln();
                    for key in &mut keys {
                        key.1 = (key.1 - log_sum).exp();
                    }
                    lse.push(log_sum);
                    visit(query, head, &keys);
                }
            }
        }
        lse
    }

    /// `out` and `lse`.
    pub fn forward(shape: &AttentionShape, sequences: Sequences<'_>, inputs: Inputs<'_>) -> (Vec<f64>, Vec<f64>) {
        let (heads, kv_heads, h) = (shape.heads, shape.kv_heads, shape.head_dim);
        let mut out = vec![0.0; inputs.q.len()];
        let lse = each_query(shape, sequences, inputs, |query, head, keys| {
            for &(row, p) in keys {
                let v = (row * kv_heads + head / (heads / kv_heads)) * h;
                for i in 0..h {
                    out[(query * heads + head) * h + i] += p * inputs.v[v + i];
                }
            }
        });
        (out, lse)
    }

    /// `dq`, `dk`, `dv`.
    pub fn backward(
        shape: &AttentionShape,
        sequences: Sequences<'_>,
        inputs: Inputs<'_>,
        dout: &[f64],
    ) -> [Vec<f64>; 3] {
        let (heads, kv_heads, h) = (shape.heads, shape.kv_heads, shape.head_dim);
        let mut dq = vec![0.0; inputs.q.len()];
        let (mut dk, mut dv) = (vec![0.0; inputs.k.len()], vec![0.0; inputs.v.len()]);
        each_query(shape, sequences, inputs, |query, head, keys| {
            let wide = (query * heads + head) * h..(query * heads + head + 1) * h;
            let (q, dout) = (&inputs.q[wide.clone()], &dout[wide.clone()]);
            let narrow = |row: usize| (row * kv_heads + head / (heads / kv_heads)) * h;
            let dp = |row: usize| dot(dout, &inputs.v[narrow(row)..narrow(row) + h]);
            let mean: f64 = keys.iter().map(|&(row, p)| p * dp(row)).sum();
            for &(row, p) in keys {
                let ds = p * (dp(row) - mean) * f64::from(shape.scale);
                let place = narrow(row);
                for i in 0..h {
                    dq[wide.start + i] += ds * inputs.k[place + i];
                    dk[place + i] += ds * q[i];
                    dv[place + i] += p * dout[i];
                }
            }
        });
        [dq, dk, dv]
    }
}
