//! Benchmark of `matmul`: the linear layers of a block, and the head over a chunk of 128 rows.

use tunesmith_ops::{Backend, Host, MatmulShape, Matrix, Result, Storage};

use crate::bench::{Bench, Work};

/// Times forward, the gradient of the input and that of the weight.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    for (name, n, k) in bench.model.linears() {
        case(bench, name, MatmulShape { m: bench.tokens, n, k })?;
    }
    case(bench, "lm_head", MatmulShape { m: 128, n: bench.model.vocabulary, k: bench.model.hidden })
}

fn case<B: Backend>(bench: &mut Bench<'_, B>, name: &str, shape: MatmulShape) -> Result<()> {
    let (backend, stage, MatmulShape { m, n, k }) = (bench.backend, bench.stage(), shape);
    let weight = backend.prepare_weight(n, k, Host::F32(&bench.inputs.uniform(n * k, 0.1)), Storage::F32)?;
    let w = Matrix::Frozen(&weight);
    let x = stage.floats(&bench.inputs.uniform(m * k, 1.0))?;
    let dy = stage.floats(&bench.inputs.uniform(m * n, 1.0))?;
    let (mut y, mut dx, mut dw) = (stage.output(m * n)?, stage.output(m * k)?, stage.floats(&vec![0.0; n * k])?);
    let flops = Work::Flops(2 * m * n * k);
    bench.time(&format!("matmul_forward {name}"), flops, || {
        backend.matmul_forward(shape, x.view(), w, None, y.view_mut())
    })?;
    bench.time(&format!("matmul_backward_input {name}"), flops, || {
        backend.matmul_backward_input(shape, dy.view(), w, dx.view_mut(), false)
    })?;
    bench.time(&format!("matmul_backward_weight {name}"), flops, || {
        backend.matmul_backward_weight(shape, dy.view(), x.view(), dw.view_mut())
    })
}
