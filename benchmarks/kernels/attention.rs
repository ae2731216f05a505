//! Benchmark of `attention`: all tokens in one sequence, in sequences of 2048, and in sequences of 128.

use tunesmith_ops::{AttentionShape, Backend, Result, Sequences};

use crate::bench::{Bench, Work};

/// Times forward and backward.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    case(bench, "one sequence", bench.tokens, None)?;
    case(bench, "one sequence, capped", bench.tokens, Some(50.0))?;
    for length in [2048, 128] {
        if length < bench.tokens {
            case(bench, &format!("sequences of {length}"), length, None)?;
        }
    }
    Ok(())
}

fn case<B: Backend>(bench: &mut Bench<'_, B>, name: &str, length: usize, soft_cap: Option<f32>) -> Result<()> {
    let names = ["forward", "backward"].map(|pass| format!("attention_{pass} {name}"));
    if !names.iter().any(|name| bench.wants(name)) {
        return Ok(());
    }
    let (model, backend) = (bench.model, bench.backend);
    let count = (bench.tokens / length.max(1)).max(1);
    let tokens = count * length;
    let (heads, kv_heads, head_dim) = (model.heads, model.kv_heads, model.head_dim);
    let scale = (head_dim as f32).sqrt().recip();
    let shape = AttentionShape { heads, kv_heads, head_dim, scale, window: None, soft_cap };
    let query_starts: Vec<_> = (0..=count).map(|i| i * length).collect();
    let (key_starts, key_lengths) = (query_starts[..count].to_vec(), vec![length; count]);
    let sequences = Sequences { query_starts: &query_starts, key_starts: &key_starts, key_lengths: &key_lengths };
    let plan = backend.plan_attention(sequences)?;
    let (wide, narrow) = (tokens * heads * head_dim, tokens * kv_heads * head_dim);
    let (q, k, v) = (bench.activations(wide, 1.0)?, bench.activations(narrow, 1.0)?, bench.activations(narrow, 1.0)?);
    let dout = bench.activations(wide, 1.0)?;
    let (mut out, mut lse) = (bench.output(wide)?, bench.output_floats(tokens * heads)?);
    let (mut dq, mut dk, mut dv) = (bench.output(wide)?, bench.output(narrow)?, bench.output(narrow)?);
    // Two products over the lower triangle forward, five backward.
    let product = count * heads * head_dim * length * (length + 1);
    let mut forward = || {
        let (q, k, v) = (q.view(), k.view(), v.view());
        backend.attention_forward(&shape, &plan, q, k, v, out.view_mut(), Some(lse.view_mut()))
    };
    // Backward reads what forward leaves, whether or not forward is timed.
    forward()?;
    bench.time(&names[0], Work::Flops(2 * product), forward)?;
    bench.time(&names[1], Work::Flops(5 * product), || {
        let (q, k, v, out, lse) = (q.view(), k.view(), v.view(), out.view(), lse.view());
        let (dq, dk, dv) = (dq.view_mut(), dk.view_mut(), dv.view_mut());
        backend.attention_backward(&shape, &plan, q, k, v, out, lse, dout.view(), dq, dk, dv)
    })
}
