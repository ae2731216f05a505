//! Benchmark of `matmul`: the linear layers of a block, and the head over a quarter of the tokens.

use tunesmith_ops::{Backend, MatmulShape, Matrix, Result};

use crate::bench::{Bench, Work};

/// Times forward, the gradient of the input and, but for the head, that of the weight.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    for (name, n, k) in bench.model.linears() {
        case(bench, name, MatmulShape { m: bench.tokens, n, k }, true)?;
    }
    let rows = (bench.tokens / 4).max(1);
    case(bench, "lm_head", MatmulShape { m: rows, n: bench.model.vocabulary, k: bench.model.hidden }, false)
}

fn case<B: Backend>(bench: &mut Bench<'_, B>, name: &str, shape: MatmulShape, trained: bool) -> Result<()> {
    let names = ["forward", "backward_input", "backward_weight"].map(|pass| format!("matmul_{pass} {name}"));
    if !names.iter().any(|name| bench.wants(name)) {
        return Ok(());
    }
    let (backend, MatmulShape { m, n, k }) = (bench.backend, shape);
    let weight = bench.weight(n, k)?;
    let w = Matrix::Frozen(&weight);
    let (x, dy) = (bench.activations(m * k, 1.0)?, bench.activations(m * n, 1.0)?);
    let (mut y, mut dx) = (bench.output(m * n)?, bench.output(m * k)?);
    let flops = Work::Flops(2 * m * n * k);
    bench.time(&names[0], flops, || backend.matmul_forward(shape, x.view(), w, None, y.view_mut()))?;
    bench.time(&names[1], flops, || backend.matmul_backward_input(shape, dy.view(), w, dx.view_mut(), false))?;
    if !trained {
        return Ok(());
    }
    let mut dw = bench.output_floats(n * k)?;
    bench.time(&names[2], flops, || backend.matmul_backward_weight(shape, dy.view(), x.view(), dw.view_mut()))
}
