//! `attention`: causal attention over sequences of unequal length, without padding.

use std::ops::Range;

use crate::check::Call;
use crate::error::{Error, Result};
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

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
    /// A scaled score `s` becomes `cap · tanh(s / cap)` before the softmax (Gemma 2, arXiv:2408.00118). None: unchanged.
    pub soft_cap: Option<f32>,
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

/// One sequence: its query rows, its first key row, its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// First query row.
    pub query: usize,
    /// Queries, at most as many as keys.
    pub queries: usize,
    /// First key row.
    pub key: usize,
    /// Keys.
    pub keys: usize,
}

impl Sequence {
    /// Position of query `q` among the keys.
    pub fn position(self, q: usize) -> usize {
        self.keys - self.queries + q
    }

    /// Keys that query `q` sees.
    pub fn reach(self, q: usize, window: Option<usize>) -> Range<usize> {
        let end = self.position(q) + 1;
        window.map_or(0, |w| end.saturating_sub(w))..end
    }
}

/// The sequences of a pass that have queries, checked, and the rows they need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedSequences {
    /// Those with at least one query, in order.
    pub list: Vec<Sequence>,
    /// Query rows of the pass, exactly.
    pub query_rows: usize,
    /// Key rows of the pass, at least.
    pub key_rows: usize,
}

impl Sequences<'_> {
    /// Checks the arrays against each other.
    ///
    /// # Errors
    /// `ArgumentInvalid` when lengths differ, starts descend or do not begin at 0, or a sequence has fewer keys than queries.
    pub fn check(self) -> Result<CheckedSequences> {
        let (place, count, starts) = ("sequences", self.key_starts.len(), self.query_starts);
        if starts.len() != count + 1 || self.key_lengths.len() != count {
            let got = format!("{}, {count}, {}", starts.len(), self.key_lengths.len());
            return Err(Error::argument(place, "n + 1 query starts, n key starts, n key lengths", got));
        }
        if starts[0] != 0 || !starts.is_sorted() {
            return Err(Error::argument(place, "query starts ascending from 0", format!("{starts:?}")));
        }
        let mut checked = CheckedSequences { query_rows: starts[count], ..CheckedSequences::default() };
        for (i, pair) in starts.windows(2).enumerate() {
            let (queries, key, keys) = (pair[1] - pair[0], self.key_starts[i], self.key_lengths[i]);
            let Some(end) = key.checked_add(keys).filter(|_| queries <= keys) else {
                let expected = format!("sequence {i} with at most as many queries as keys");
                return Err(Error::argument(place, expected, format!("{queries} queries, {keys} keys from {key}")));
            };
            checked.key_rows = checked.key_rows.max(end);
            if queries > 0 {
                checked.list.push(Sequence { query: pair[0], queries, key, keys });
            }
        }
        Ok(checked)
    }
}

impl CheckedSequences {
    /// Checks a call of `op` on views of `tq` query rows and `tk` key rows.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the sequences do not lie in them.
    pub fn check_rows(&self, op: &str, tq: usize, tk: usize) -> Result<()> {
        if self.query_rows != tq || self.key_rows > tk {
            let expected = format!("{} query rows and at least {} key rows", self.query_rows, self.key_rows);
            return Err(Error::argument(op, expected, format!("{tq} and {tk}")));
        }
        Ok(())
    }

    /// Checks that keys and queries are the same rows, as backward asks.
    ///
    /// # Errors
    /// `ArgumentInvalid` when they are not.
    pub fn check_training(&self, op: &str) -> Result<()> {
        match self.list.iter().position(|s| s.queries != s.keys || s.query != s.key) {
            None => Ok(()),
            Some(i) => {
                let got = format!("{} queries and {} keys in sequence {i}", self.list[i].queries, self.list[i].keys);
                Err(Error::argument(op, "key rows equal to query rows", got))
            }
        }
    }
}

impl AttentionShape {
    /// Checks heads, head size, window and soft cap.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the heads do not divide, a size is zero or the cap is not above 0.
    pub fn check(&self, op: &str) -> Result<()> {
        let Self { heads, kv_heads, head_dim, window, soft_cap, .. } = *self;
        let cap_fits = soft_cap.is_none_or(|cap| cap > 0.0);
        if kv_heads == 0 || heads == 0 || heads % kv_heads != 0 || head_dim == 0 || window == Some(0) || !cap_fits {
            let expected = "heads divisible by kv_heads; a head size, a window and a soft cap above 0";
            return Err(Error::argument(op, expected, format!("{self:?}")));
        }
        Ok(())
    }

    /// Checks the arguments of [`Attention::attention_forward`], and gives query rows and key rows.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit, or sequences that do not lie in the rows.
    pub fn check_forward<T: TypedBuffer>(
        &self,
        call: Call,
        sequences: &CheckedSequences,
        [q, k, v]: [View<'_, T>; 3],
        out: View<'_, T>,
        lse: Option<View<'_, T>>,
    ) -> Result<(usize, usize)> {
        let Self { heads, kv_heads, head_dim: h, .. } = *self;
        self.check(call.op)?;
        let (tq, tk) = (call.rows("q", q, heads * h)?, call.rows("k", k, kv_heads * h)?);
        sequences.check_rows(call.op, tq, tk)?;
        for (name, view, len) in [("q", q, tq * heads), ("k", k, tk * kv_heads), ("v", v, tk * kv_heads)] {
            call.activations(name, view, len * h)?;
        }
        call.activations("out", out, tq * heads * h)?;
        call.float32_if_given("lse", lse, tq * heads)?;
        Ok((tq, tk))
    }

    /// Checks the arguments of [`Attention::attention_backward`], and gives the rows.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit, or sequences that do not lie in the rows or are not whole.
    pub fn check_backward<T: TypedBuffer>(
        &self,
        call: Call,
        sequences: &CheckedSequences,
        [q, k, v]: [View<'_, T>; 3],
        [out, lse, dout]: [View<'_, T>; 3],
        [dq, dk, dv]: [View<'_, T>; 3],
    ) -> Result<usize> {
        let Self { heads, kv_heads, head_dim: h, .. } = *self;
        self.check(call.op)?;
        let t = call.rows("q", q, heads * h)?;
        sequences.check_rows(call.op, t, t)?;
        sequences.check_training(call.op)?;
        for (name, view) in [("q", q), ("out", out), ("dout", dout), ("dq", dq)] {
            call.activations(name, view, t * heads * h)?;
        }
        for (name, view) in [("k", k), ("v", v), ("dk", dk), ("dv", dv)] {
            call.activations(name, view, t * kv_heads * h)?;
        }
        call.float32("lse", lse, t * heads)?;
        Ok(t)
    }
}

/// Softmax attention (FlashAttention's variable-length interface, Dao 2023, arXiv:2307.08691).
///
/// Letters: `tq` query rows, `tk` key rows. Forward saves `lse[tq, heads]`, f32 whatever the activations are: the logarithm
/// of the sum of exponentials of the scores as the softmax sees them, scaled and capped. A row's bits depend on its own
/// sequence only. Tolerance f32: forward 5e-6, backward 2e-5 relative to the largest output; bf16: 8e-3 and 1e-2. Edge sizes: lengths 1, 2, 31,
/// 32, 33, 130; h in 16, 64, 80; window 1, 8; groups 1, 3, 4; soft cap far above and below the scores.
pub trait Attention: Memory {
    /// The sequences of one pass as the backend likes them best: made once, used by every layer.
    type Plan: Send + Sync;

    /// Checks the sequences of a pass and prepares what its layers share.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the arrays contradict each other, `OutOfMemory`.
    fn plan_attention(&self, sequences: Sequences<'_>) -> Result<Self::Plan>;

    /// `out[tq, heads, h]` and, where given, `lse`; writes. `q[tq, heads, h]`, `k` and `v[tk, kv_heads, h]`.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view or a sequence does not fit.
    fn attention_forward(
        &self,
        shape: &AttentionShape,
        plan: &Self::Plan,
        q: View<'_, Self::Buffer>,
        k: View<'_, Self::Buffer>,
        v: View<'_, Self::Buffer>,
        out: ViewMut<'_, Self::Buffer>,
        lse: Option<ViewMut<'_, Self::Buffer>>,
    ) -> Result<()>;

    /// `dq`, `dk`, `dv` from `dout`; writes. Only for `lq = lk` and key rows equal to query rows (training).
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view or a sequence does not fit.
    fn attention_backward(
        &self,
        shape: &AttentionShape,
        plan: &Self::Plan,
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

/// The same in float64, written for reading: one query at a time, all probabilities spelt out.
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

    fn capped(shape: &AttentionShape, score: f64) -> f64 {
        shape.soft_cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
    }

    /// Slope of [`capped`] where its value is `score`.
    fn slope(shape: &AttentionShape, score: f64) -> f64 {
        shape.soft_cap.map_or(1.0, |cap| 1.0 - (score / f64::from(cap)).powi(2))
    }

    /// One key as a query sees it.
    struct Key {
        row: usize,
        score: f64,
        probability: f64,
    }

    /// Calls `visit(query row, head, keys)` for every query and head. Gives `lse`.
    fn each_query(
        shape: &AttentionShape,
        sequences: Sequences<'_>,
        inputs: Inputs<'_>,
        mut visit: impl FnMut(usize, usize, &[Key]),
    ) -> Vec<f64> {
        let (heads, kv_heads, h) = (shape.heads, shape.kv_heads, shape.head_dim);
        let mut lse = Vec::new();
        for (s, range) in sequences.query_starts.windows(2).enumerate() {
            for query in range[0]..range[1] {
                let position = sequences.key_lengths[s] - (range[1] - query);
                let first = shape.window.map_or(0, |w| (position + 1).saturating_sub(w));
                for head in 0..heads {
                    let q = &inputs.q[(query * heads + head) * h..][..h];
                    let key = |j: usize| {
                        let row = sequences.key_starts[s] + j;
                        let place = (row * kv_heads + head / (heads / kv_heads)) * h;
                        let score = capped(shape, f64::from(shape.scale) * dot(q, &inputs.k[place..place + h]));
                        Key { row, score, probability: 0.0 }
                    };
                    let mut keys: Vec<_> = (first..=position).map(key).collect();
                    let largest = keys.iter().fold(f64::NEG_INFINITY, |a, key| a.max(key.score));
                    let sum: f64 = keys.iter().map(|key| (key.score - largest).exp()).sum();
                    let log_sum = largest + sum.ln();
                    for key in &mut keys {
                        key.probability = (key.score - log_sum).exp();
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
            for key in keys {
                let v = (key.row * kv_heads + head / (heads / kv_heads)) * h;
                for i in 0..h {
                    out[(query * heads + head) * h + i] += key.probability * inputs.v[v + i];
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
            let mean: f64 = keys.iter().map(|key| key.probability * dp(key.row)).sum();
            for &Key { row, score, probability: p } in keys {
                let ds = p * (dp(row) - mean) * slope(shape, score) * f64::from(shape.scale);
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
