//! `attention`, backward: one task per sequence and query head, which recomputes the probabilities from the saved
//! logarithms (Dao 2023, arXiv:2307.08691). The query heads of one key head add up afterwards, in order.

use std::ops::Range;

use tunesmith_ops::{AttentionShape, Result, Sequence};

use crate::attention_scores::{QUERIES, blocks, cap_scores, reach_of_block, score_stride, score_width};
use crate::product::{Left, Mode, Product, Right, SharedMatrix, Target, Transpose};
use crate::simd::{Kernel, Simd};
use crate::{Cpu, scratch};

/// Checked arguments of a call.
pub(crate) struct Input<'a> {
    pub(crate) shape: &'a AttentionShape,
    pub(crate) sequences: &'a [Sequence],
    pub(crate) q: &'a [f32],
    pub(crate) k: &'a [f32],
    pub(crate) v: &'a [f32],
    pub(crate) out: &'a [f32],
    pub(crate) lse: &'a [f32],
    pub(crate) dout: &'a [f32],
}

/// One query's row: `p = e^(scale·s − lse)` in reach, `ds = scale · p · (dp − delta)`; zero elsewhere. With a soft cap the
/// exponent is `z − lse`, `z` the capped score, and `ds` has the factor `1 − (z / cap)²` besides.
struct ScoreGradient<'a> {
    /// Scores; becomes `p`.
    p: &'a mut [f32],
    /// Gradient of the probabilities; becomes `ds`.
    ds: &'a mut [f32],
    reach: Range<usize>,
    scale: f32,
    soft_cap: Option<f32>,
    lse: f32,
    out: &'a [f32],
    dout: &'a [f32],
}

impl Kernel for ScoreGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { p, ds, reach, scale, .. } = self;
        let mut delta = s.splat(0.0);
        for i in (0..self.out.len()).step_by(S::LANES) {
            delta = s.fma(s.load(&self.out[i..]), s.load(&self.dout[i..]), delta);
        }
        let delta = s.splat(s.sum(delta));
        for row in [&mut *p, &mut *ds] {
            row[..reach.start].fill(0.0);
            row[reach.end..].fill(0.0);
        }
        let (p, ds) = (&mut p[reach.clone()], &mut ds[reach]);
        if let Some(cap) = self.soft_cap {
            cap_scores(s, p, scale, cap);
        }
        let inner = if self.soft_cap.is_some() { 1.0 } else { scale };
        for i in (0..p.len()).step_by(S::LANES) {
            let z = s.load(&p[i..]);
            let e = s.exp(s.fma(z, s.splat(inner), s.splat(-self.lse)));
            let mut d = s.mul(s.mul(e, s.splat(scale)), s.sub(s.load(&ds[i..]), delta));
            if let Some(cap) = self.soft_cap {
                let ratio = s.mul(z, s.splat(1.0 / cap));
                d = s.mul(d, s.sub(s.splat(1.0), s.mul(ratio, ratio)));
            }
            s.store(&mut p[i..], e);
            s.store(&mut ds[i..], d);
        }
    }
}

/// One query head of one sequence: where it lies, and its gradients.
struct Head<'a> {
    index: usize,
    /// Elements from one query to the next.
    wide: usize,
    /// Elements from one key to the next.
    narrow: usize,
    /// Elements from one row of scores to the next.
    stride: usize,
    key_place: usize,
    query_place: usize,
    dq: Target<'a>,
    dk: Target<'a>,
    dv: Target<'a>,
}

impl Input<'_> {
    /// Writes `dq`, `dk`, `dv`.
    pub(crate) fn run(&self, cpu: &Cpu, dq: &mut [f32], dk: &mut [f32], dv: &mut [f32]) -> Result<()> {
        let AttentionShape { heads, kv_heads, head_dim: h, .. } = *self.shape;
        let (group, wide) = (heads / kv_heads, heads * h);
        let mut parts = scratch::take(2 * self.q.len());
        let (dk_parts, dv_parts) = parts.split_at_mut(self.q.len());
        let shared = [&mut *dq, &mut *dk_parts, &mut *dv_parts].map(|x| SharedMatrix::new(x, wide));
        cpu.pool.run(self.sequences.len() * heads, |index| {
            let sequence = self.sequences[index / heads];
            // SAFETY: every task has its own rows and heads of all three.
            let targets = shared.each_ref().map(|x| unsafe { x.tile(sequence.query, index % heads * h) });
            self.task(cpu, sequence, index % heads, targets);
        })?;
        for (target, parts) in [(dk, &*dk_parts), (dv, &*dv_parts)] {
            let rows = target.chunks_mut(QUERIES * kv_heads * h).zip(parts.chunks(QUERIES * wide));
            cpu.pool.each(rows, |_, (target, parts)| {
                for (target, parts) in target.chunks_exact_mut(h).zip(parts.chunks_exact(group * h)) {
                    target.copy_from_slice(&parts[..h]);
                    for part in parts.chunks_exact(h).skip(1) {
                        target.iter_mut().zip(part).for_each(|(t, x)| *t += x);
                    }
                }
            })?;
        }
        Ok(())
    }

    /// One query head of one sequence.
    fn task(&self, cpu: &Cpu, sequence: Sequence, head: usize, [dq, mut dk, mut dv]: [Target<'_>; 3]) {
        let AttentionShape { heads, kv_heads, head_dim: h, window, .. } = *self.shape;
        let (wide, narrow) = (heads * h, kv_heads * h);
        let length = sequence.keys;
        let stride = score_stride(length);
        let key_place = sequence.key * narrow + head / (heads / kv_heads) * h;
        let query_place = sequence.query * wide + head * h;
        for row in 0..length {
            dk.row(row, h).fill(0.0);
            dv.row(row, h).fill(0.0);
        }
        let mut memory = scratch::take(2 * (h + QUERIES) * stride);
        let (packed, scores) = memory.split_at_mut(2 * h * stride);
        let (k_packed, v_packed) = packed.split_at_mut(h * stride);
        let (p, ds) = scores.split_at_mut(QUERIES * stride);
        for (source, packed) in [(self.k, &mut *k_packed), (self.v, &mut *v_packed)] {
            let source = Right::new(&source[key_place..], narrow);
            cpu.isa.run(Transpose { source, rows: length, columns: h, target: packed, stride, width: stride });
        }
        let mut head = Head { wide, narrow, stride, key_place, query_place, index: head, dq, dk, dv };
        for block in blocks(sequence) {
            let keys = reach_of_block(sequence, &block, window);
            self.scores(cpu, &head, (&block, &keys), [(&*k_packed, &mut *p), (&*v_packed, &mut *ds)]);
            for (i, query) in block.clone().enumerate() {
                let reach = sequence.reach(query, window);
                let place = query_place + (block.start + i) * wide;
                cpu.isa.run(ScoreGradient {
                    p: &mut p[i * stride..][..keys.len()],
                    ds: &mut ds[i * stride..][..keys.len()],
                    reach: reach.start - keys.start..reach.end - keys.start,
                    scale: self.shape.scale,
                    soft_cap: self.shape.soft_cap,
                    lse: self.lse[(sequence.query + query) * heads + head.index],
                    out: &self.out[place..][..h],
                    dout: &self.dout[place..][..h],
                });
            }
            self.gradients(cpu, &mut head, (&block, &keys), p, ds);
        }
    }

    /// Products of the queries and output gradients of `block` with the keys and values `keys`, each into its target.
    fn scores(
        &self,
        cpu: &Cpu,
        head: &Head<'_>,
        (block, keys): (&Range<usize>, &Range<usize>),
        [(k_packed, p), (v_packed, ds)]: [(&[f32], &mut [f32]); 2],
    ) {
        let place = head.query_place + block.start * head.wide;
        let products = [(&self.q[place..], k_packed, p), (&self.dout[place..], v_packed, ds)];
        for (left, packed, target) in products {
            cpu.isa.run(Product {
                ahead: &[],
                m: block.len(),
                n: score_width(keys.len()),
                k: self.shape.head_dim,
                left: Left::rows(left, head.wide),
                right: Right::new(&packed[keys.start..], head.stride),
                target: Target::new(target, head.stride),
                mode: Mode::Write,
            });
        }
    }

    /// Writes the queries' gradient of `block`; adds to those of the keys and values `keys`.
    fn gradients(
        &self,
        cpu: &Cpu,
        head: &mut Head<'_>,
        (block, keys): (&Range<usize>, &Range<usize>),
        p: &[f32],
        ds: &[f32],
    ) {
        let Head { wide, narrow, stride, key_place, query_place, .. } = *head;
        let (h, place) = (self.shape.head_dim, query_place + block.start * wide);
        cpu.isa.run(Product {
            ahead: &[],
            m: block.len(),
            n: h,
            k: keys.len(),
            left: Left::rows(ds, stride),
            right: Right::new(&self.k[key_place + keys.start * narrow..], narrow),
            target: head.dq.part(block.start, 0),
            mode: Mode::Write,
        });
        for (left, right, target) in [(p, &self.dout[place..], &mut head.dv), (ds, &self.q[place..], &mut head.dk)] {
            cpu.isa.run(Product {
                ahead: &[],
                m: keys.len(),
                n: h,
                k: block.len(),
                left: Left::transposed(left, stride),
                right: Right::new(right, wide),
                target: target.part(keys.start, 0),
                mode: Mode::Chain,
            });
        }
    }
}
