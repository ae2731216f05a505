//! Suite of `attention`.

use std::ops::Range;

use tunesmith_ops::attention::reference::{self, Inputs as Wide};
use tunesmith_ops::{Attention, AttentionShape, Result, Sequences};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// Lengths of the contract, as one packed batch.
const LENGTHS: [usize; 7] = [1, 2, 31, 32, 33, 130, 0];

/// Sequences in owned form.
struct Layout {
    query_starts: Vec<usize>,
    key_starts: Vec<usize>,
    key_lengths: Vec<usize>,
}

impl Layout {
    /// Packed one after the other, `past` keys before the queries of each, `gap` unused key rows between.
    fn new(lengths: &[usize], past: usize, gap: usize) -> Self {
        let (mut query_starts, mut key_starts, mut next) = (vec![0], Vec::new(), 0);
        for &length in lengths {
            query_starts.push(query_starts[query_starts.len() - 1] + length);
            key_starts.push(next + gap);
            next += gap + length + past;
        }
        Self { query_starts, key_starts, key_lengths: lengths.iter().map(|l| l + past).collect() }
    }

    fn borrow(&self) -> Sequences<'_> {
        Sequences { query_starts: &self.query_starts, key_starts: &self.key_starts, key_lengths: &self.key_lengths }
    }

    fn queries(&self) -> usize {
        self.query_starts.last().copied().unwrap_or(0)
    }

    fn keys(&self) -> usize {
        let ends = self.key_starts.iter().zip(&self.key_lengths).map(|(s, l)| s + l);
        ends.max().unwrap_or(0)
    }
}

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Attention>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    vanishing(stage, &mut inputs, record)?;
    // An odd head, whose last element has no neighbour.
    let odd = AttentionShape { heads: 2, kv_heads: 1, head_dim: 5, scale: 0.5, window: None, soft_cap: None };
    training(stage, &mut inputs, record, &odd)?;
    decoding(stage, &mut inputs, record, &odd)?;
    let windows = [None, Some(1), Some(8)];
    let sizes = [16, 64, 80].into_iter().flat_map(|head_dim| windows.map(|window| (head_dim, window)));
    let shapes = sizes.flat_map(|size| [(2, 2), (3, 1), (8, 2)].map(|heads| (size, heads)));
    for ((head_dim, window), (heads, kv_heads)) in stage.cases(shapes) {
        let scale = 1.0 / (head_dim as f32).sqrt();
        let shape = AttentionShape { heads, kv_heads, head_dim, scale, window, soft_cap: None };
        training(stage, &mut inputs, record, &shape)?;
        decoding(stage, &mut inputs, record, &shape)?;
    }
    let shape = AttentionShape { heads: 4, kv_heads: 2, head_dim: 24, scale: 0.3, window: None, soft_cap: None };
    training(stage, &mut inputs, record, &shape)?;
    for (soft_cap, window) in [(50.0, None), (2.0, None), (0.5, Some(8)), (2.0, Some(8))] {
        let shape = AttentionShape { soft_cap: Some(soft_cap), window, ..shape };
        training(stage, &mut inputs, record, &shape)?;
        decoding(stage, &mut inputs, record, &shape)?;
    }
    for head_dim in [128, 200] {
        let shape = AttentionShape { heads: 2, kv_heads: 1, head_dim, scale: 0.1, window: None, soft_cap: None };
        training(stage, &mut inputs, record, &shape)?;
        decoding_after(stage, &mut inputs, record, &shape, 520)?;
        decoding_after(stage, &mut inputs, record, &AttentionShape { window: Some(300), ..shape }, 520)?;
    }
    alone(stage, &mut inputs, record, &shape)?;
    refusals(stage, record, &shape)
}

fn name(shape: &AttentionShape) -> String {
    let AttentionShape { heads, kv_heads, head_dim, window, soft_cap, .. } = shape;
    format!("{heads}/{kv_heads}×{head_dim} window {window:?} cap {soft_cap:?}")
}

fn training<B: Attention>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: &AttentionShape,
) -> Result<()> {
    let layout = Layout::new(&LENGTHS, 0, 0);
    let t = layout.queries();
    let (wide_len, narrow_len) = (t * shape.heads * shape.head_dim, t * shape.kv_heads * shape.head_dim);
    let tensors = [wide_len, wide_len, narrow_len, narrow_len].map(|len| stage.round(inputs.finite(len)));
    both_ways(stage, record, shape, &layout, &name(shape), &tensors)
}

/// Sequences of one token with scores so low that a row after their end, at a score of zero, would weigh infinitely much.
fn vanishing<B: Attention>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record) -> Result<()> {
    let shape = AttentionShape { heads: 2, kv_heads: 2, head_dim: 64, scale: 1.0, window: None, soft_cap: None };
    let layout = Layout::new(&[1, 1], 0, 0);
    let [k, v, dout] = [1.4, 1.0, 1.0].map(|size| inputs.finite(2 * 128).iter().map(|x| size * x).collect());
    let (k, v, dout) = (stage.round(k), stage.round(v), stage.round(dout));
    let q = k.iter().map(|x| -x).collect();
    both_ways(stage, record, &shape, &layout, "scores near -125", &[q, dout, k, v])
}

/// `out`, `lse`, `dq`, `dk` and `dv` for `q`, `dout`, `k` and `v`.
fn results<B: Attention>(
    stage: &Stage<'_, B>,
    shape: &AttentionShape,
    layout: &Layout,
    tensors: &[Vec<f32>; 4],
) -> Result<[Vec<f32>; 5]> {
    let (b, t) = (stage.backend, layout.queries());
    let [wide_len, _, narrow_len, _] = tensors.each_ref().map(Vec::len);
    let [q, dout, k, v] = tensors.each_ref().map(|x| stage.activations(x));
    let (q, dout, k, v) = (q?, dout?, k?, v?);
    let (mut out, mut lse) = (stage.activation_output(wide_len)?, stage.output(t * shape.heads)?);
    let plan = b.plan_attention(layout.borrow())?;
    let (q, k, v) = (q.view(), k.view(), v.view());
    b.attention_forward(shape, &plan, q, k, v, out.view_mut(), Some(lse.view_mut()))?;
    let [dq, dk, dv] = [wide_len, narrow_len, narrow_len].map(|len| stage.activation_output(len));
    let (mut dq, mut dk, mut dv) = (dq?, dk?, dv?);
    let (to_q, to_k, to_v) = (dq.view_mut(), dk.view_mut(), dv.view_mut());
    b.attention_backward(shape, &plan, q, k, v, out.view(), lse.view(), dout.view(), to_q, to_k, to_v)?;
    Ok([stage.read(&out)?, stage.read(&lse)?, stage.read(&dq)?, stage.read(&dk)?, stage.read(&dv)?])
}

/// Forward and backward of `q`, `dout`, `k` and `v`, against the reference.
fn both_ways<B: Attention>(
    stage: &Stage<'_, B>,
    record: &mut Record,
    shape: &AttentionShape,
    layout: &Layout,
    name: &str,
    tensors: &[Vec<f32>; 4],
) -> Result<()> {
    let s = layout.borrow();
    let [q, dout, k, v] = tensors.each_ref().map(|x| wide(x));
    let reference = Wide { q: &q, k: &k, v: &v };
    let [out, lse, dq, dk, dv] = results(stage, shape, layout, tensors)?;
    let (want_out, want_lse) = reference::forward(shape, s, reference);
    record.compare(format!("attention_forward {name} out"), &out, &want_out, stage.tolerance(5e-6, 8e-3));
    record.compare(format!("attention_forward {name} lse"), &lse, &want_lse, 5e-6);
    let [want_dq, want_dk, want_dv] = reference::backward(shape, s, reference, &dout);
    let outputs = [("dq", &*dq, &*want_dq), ("dk", &*dk, &*want_dk), ("dv", &*dv, &*want_dv)];
    record.compare_all(&format!("attention_backward {name}"), &outputs, stage.tolerance(2e-5, 1e-2));
    Ok(())
}

/// One or a few queries against a longer cache, whose rows lie apart.
fn decoding<B: Attention>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: &AttentionShape,
) -> Result<()> {
    decoding_after(stage, inputs, record, shape, 37)
}

fn decoding_after<B: Attention>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: &AttentionShape,
    past: usize,
) -> Result<()> {
    let layout = Layout::new(&[1, 3, 1, 60], past, 5);
    let (queries, keys) = (layout.queries(), layout.keys());
    let narrow = keys * shape.kv_heads * shape.head_dim;
    let [q, k, v] = [queries * shape.heads * shape.head_dim, narrow, narrow].map(|len| stage.round(inputs.finite(len)));
    let mut out = stage.activation_output(q.len())?;
    let [staged_q, staged_k, staged_v] = [stage.activations(&q)?, stage.activations(&k)?, stage.activations(&v)?];
    let s = layout.borrow();
    let (q, k, v) = (wide(&q), wide(&k), wide(&v));
    let plan = stage.backend.plan_attention(s)?;
    stage.backend.attention_forward(
        shape,
        &plan,
        staged_q.view(),
        staged_k.view(),
        staged_v.view(),
        out.view_mut(),
        None,
    )?;
    let (want, _) = reference::forward(shape, s, Wide { q: &q, k: &k, v: &v });
    let name = name(shape);
    let name = format!("attention_forward decoding after {past} {name}");
    record.compare(name, &stage.read(&out)?, &want, stage.tolerance(5e-6, 8e-3));
    Ok(())
}

/// A sequence has the same bits packed with others, alone, and next to others that are not finite, forward and backward.
fn alone<B: Attention>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: &AttentionShape,
) -> Result<()> {
    let layout = Layout::new(&LENGTHS, 0, 0);
    let (row, kv_row) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let rows = [row, row, kv_row, kv_row];
    let mut tensors = rows.map(|row| inputs.finite(layout.queries() * row));
    let [out, _, dq, dk, dv] = results(stage, shape, &layout, &tensors)?;
    // What was got, in a buffer that begins with row `first` of the packed one.
    let mut compare = |range: &Range<usize>, first: usize, how: &str, got: &[Vec<f32>; 5]| {
        let [got_out, _, got_dq, got_dk, got_dv] = got;
        for (what, row, got, want) in [
            ("out", row, got_out, &out),
            ("dq", row, got_dq, &dq),
            ("dk", kv_row, got_dk, &dk),
            ("dv", kv_row, got_dv, &dv),
        ] {
            let place = (range.start - first) * row..(range.end - first) * row;
            let name = format!("attention {what} rows {range:?} {how}");
            record.same(name, &got[place], &want[range.start * row..range.end * row]);
        }
    };
    let sequences: Vec<_> = layout.query_starts.windows(2).map(|w| w[0]..w[1]).collect();
    for range in &sequences {
        let mut part = rows.into_iter().zip(&tensors).map(|(row, x)| x[range.start * row..range.end * row].to_vec());
        let part = std::array::from_fn(|_| part.next().unwrap_or_default());
        let got = results(stage, shape, &Layout::new(&[range.len()], 0, 0), &part)?;
        compare(range, range.start, "alone", &got);
    }
    for range in sequences.iter().skip(1).step_by(2) {
        for (x, row) in tensors.iter_mut().zip(rows) {
            x[range.start * row..range.end * row].fill(f32::NAN);
        }
    }
    let got = results(stage, shape, &layout, &tensors)?;
    for range in sequences.iter().step_by(2) {
        compare(range, 0, "beside NaN", &got);
    }
    Ok(())
}

fn refusals<B: Attention>(stage: &Stage<'_, B>, record: &mut Record, shape: &AttentionShape) -> Result<()> {
    let (row, kv_row) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let (q, k) = (stage.activations(&vec![0.0; 2 * row])?, stage.activations(&vec![0.0; 3 * kv_row])?);
    let mut out = stage.activation_output(2 * row)?;
    for (name, query_starts, key_starts, key_lengths) in [
        ("fewer keys than queries", &[0, 2][..], &[0][..], &[1][..]),
        ("keys beyond the end", &[0, 2], &[1], &[3]),
        ("queries beyond the end", &[0, 3], &[0], &[3]),
        ("descending starts", &[0, 2, 1, 2], &[0, 0, 0], &[2, 2, 2]),
        ("too few key lengths", &[0, 1, 2], &[0, 1], &[1]),
    ] {
        let sequences = Sequences { query_starts, key_starts, key_lengths };
        let outcome = stage.backend.plan_attention(sequences).and_then(|plan| {
            stage.backend.attention_forward(shape, &plan, q.view(), k.view(), k.view(), out.view_mut(), None)
        });
        record.refused(format!("attention with {name}"), &outcome);
    }
    let sequences = Sequences { query_starts: &[0, 2], key_starts: &[0], key_lengths: &[2] };
    for soft_cap in [0.0, -1.0, f32::NAN] {
        let shape = AttentionShape { soft_cap: Some(soft_cap), ..*shape };
        let outcome = stage.backend.plan_attention(sequences).and_then(|plan| {
            stage.backend.attention_forward(&shape, &plan, q.view(), k.view(), k.view(), out.view_mut(), None)
        });
        record.refused(format!("attention with a soft cap of {soft_cap}"), &outcome);
    }
    Ok(())
}
