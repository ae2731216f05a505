//! `attention`: causal attention over sequences of unequal length, forward.
//!
//! A task takes a block of queries of one sequence for all query heads of one key head. Its scores over all keys in reach
//! fit the cache, so the softmax needs no rescaling; blocks of keys out of reach are never touched.

use std::ops::Range;

use tunesmith_ops::{Attention, AttentionShape, CheckedSequences, Result, Sequence, Sequences, View, ViewMut};

use crate::attention_backward::Input;
use crate::attention_scores::{QUERIES, blocks, cap_scores, reach_of_block, score_stride, score_width};
use crate::buffer::Buffer;
use crate::product::{Left, Mode, Product, Right, SharedMatrix, Target, Transpose};
use crate::simd::{Kernel, Simd};
use crate::views::{call, floats, floats_mut};
use crate::{Cpu, scratch};

/// Scores of one query turned into unnormalised probabilities: `e^(scale·s − max)` in reach, zero elsewhere.
struct Softmax<'a> {
    scores: &'a mut [f32],
    reach: Range<usize>,
    scale: f32,
    soft_cap: Option<f32>,
}

impl Kernel for Softmax<'_> {
    /// Largest scaled score and sum of the exponentials.
    type Output = (f32, f32);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (f32, f32) {
        let Self { scores, reach, mut scale, soft_cap } = self;
        scores[..reach.start].fill(0.0);
        scores[reach.end..].fill(0.0);
        let live = &mut scores[reach];
        if let Some(cap) = soft_cap {
            cap_scores(s, live, scale, cap);
            scale = 1.0;
        }
        let mut best = s.splat(f32::NEG_INFINITY);
        let whole = live.len() - live.len() % S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            best = s.max(s.load(&live[i..]), best);
        }
        let largest = live[whole..].iter().fold(s.largest(best), |a, &b| a.max(b)) * scale;
        let mut sum = s.splat(0.0);
        for i in (0..live.len()).step_by(S::LANES) {
            let v = s.fma(s.load(&live[i..]), s.splat(scale), s.splat(-largest));
            s.store(&mut live[i..], s.exp(v));
            if i < whole {
                sum = s.add(sum, s.load(&live[i..]));
            }
        }
        let tail: f32 = live[whole..].iter().sum();
        (largest, s.sum(sum) + tail)
    }
}

/// What all tasks of a call share.
struct Forward<'a> {
    shape: &'a AttentionShape,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    out: SharedMatrix<'a>,
    lse: Option<SharedMatrix<'a>>,
}

impl Forward<'_> {
    /// The queries `block` of one sequence for all query heads of key head `kv`.
    fn task(&self, cpu: &Cpu, sequence: Sequence, block: &Range<usize>, kv: usize) {
        let AttentionShape { heads, kv_heads, head_dim: h, scale, window, soft_cap } = *self.shape;
        let group = heads / kv_heads;
        let keys = reach_of_block(sequence, block, window);
        let stride = score_stride(keys.len());
        let key_place = ((sequence.key + keys.start) * kv_heads + kv) * h;
        let mut memory = scratch::take((h + block.len()) * stride);
        let (packed, scores) = memory.split_at_mut(h * stride);
        let source = Right::new(&self.k[key_place..], kv_heads * h);
        cpu.isa.run(Transpose { source, rows: keys.len(), columns: h, target: packed, stride, width: stride });
        for head in kv * group..(kv + 1) * group {
            let first = sequence.query + block.start;
            cpu.isa.run(Product {
                ahead: &[],
                m: block.len(),
                n: score_width(keys.len()),
                k: h,
                left: Left::rows(&self.q[(first * heads + head) * h..], heads * h),
                right: Right::new(packed, stride),
                target: Target::new(scores, stride),
                mode: Mode::Write,
            });
            // SAFETY: every task has its own rows and heads of `out`.
            let mut out = unsafe { self.out.tile(first, head * h) };
            let mut sums = [0.0; QUERIES];
            for (i, q) in block.clone().enumerate() {
                let reach = sequence.reach(q, window);
                let (largest, sum) = cpu.isa.run(Softmax {
                    scores: &mut scores[i * stride..][..keys.len()],
                    reach: reach.start - keys.start..reach.end - keys.start,
                    scale,
                    soft_cap,
                });
                sums[i] = sum;
                if let Some(lse) = &self.lse {
                    // SAFETY: every task has its own rows and heads of `lse`.
                    unsafe { lse.tile(first + i, head) }.row(0, 1)[0] = largest + sum.ln();
                }
            }
            cpu.isa.run(Product {
                ahead: &[],
                m: block.len(),
                n: h,
                k: keys.len(),
                left: Left::rows(scores, stride),
                right: Right::new(&self.v[key_place..], kv_heads * h),
                target: out.reborrow(),
                mode: Mode::Write,
            });
            for (i, sum) in sums[..block.len()].iter().enumerate() {
                let inverse = 1.0 / sum;
                out.row(i, h).iter_mut().for_each(|x| *x *= inverse);
            }
        }
    }
}

impl Attention for Cpu {
    type Plan = CheckedSequences;

    fn plan_attention(&self, sequences: Sequences<'_>) -> Result<CheckedSequences> {
        sequences.check()
    }

    fn attention_forward(
        &self,
        shape: &AttentionShape,
        plan: &CheckedSequences,
        q: View<'_, Buffer>,
        k: View<'_, Buffer>,
        v: View<'_, Buffer>,
        out: ViewMut<'_, Buffer>,
        lse: Option<ViewMut<'_, Buffer>>,
    ) -> Result<()> {
        let AttentionShape { heads, kv_heads, head_dim: h, .. } = *shape;
        let given = lse.as_ref().map(ViewMut::as_view);
        shape.check_forward(call("attention_forward"), plan, [q, k, v], out.as_view(), given)?;
        let out = floats_mut(out);
        let lse = lse.map(floats_mut);
        let forward = Forward {
            shape,
            q: floats(q),
            k: floats(k),
            v: floats(v),
            out: SharedMatrix::new(out, heads * h),
            lse: lse.map(|lse| SharedMatrix::new(lse, heads)),
        };
        let tasks: Vec<_> = plan.list.iter().flat_map(|&s| blocks(s).map(move |block| (s, block))).collect();
        self.pool.run(tasks.len() * kv_heads, |index| {
            let (sequence, block) = &tasks[index / kv_heads];
            forward.task(self, *sequence, block, index % kv_heads);
        })
    }

    fn attention_backward(
        &self,
        shape: &AttentionShape,
        plan: &CheckedSequences,
        q: View<'_, Buffer>,
        k: View<'_, Buffer>,
        v: View<'_, Buffer>,
        out: View<'_, Buffer>,
        lse: View<'_, Buffer>,
        dout: View<'_, Buffer>,
        dq: ViewMut<'_, Buffer>,
        dk: ViewMut<'_, Buffer>,
        dv: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let written = [&dq, &dk, &dv].map(|view| view.as_view());
        shape.check_backward(call("attention_backward"), plan, [q, k, v], [out, lse, dout], written)?;
        let input = Input {
            shape,
            sequences: &plan.list,
            q: floats(q),
            k: floats(k),
            v: floats(v),
            out: floats(out),
            lse: floats(lse),
            dout: floats(dout),
        };
        let dq = floats_mut(dq);
        let dk = floats_mut(dk);
        let dv = floats_mut(dv);
        input.run(self, dq, dk, dv)
    }
}
