//! Benchmark of `lora_matmul`: the linear layers of a block with an adapter of rank 16. The rate counts the frozen product
//! only, so that the difference to `matmul` is what the adapter costs.

use tunesmith_ops::{Backend, Lora, MatmulShape, Matrix, Result};

use crate::bench::{Bench, Work};

const RANK: usize = 16;

/// Times forward and backward.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    for (name, n, k) in bench.model.linears() {
        let names = ["forward", "backward"].map(|pass| format!("lora_{pass} {name}"));
        if names.iter().any(|name| bench.wants(name)) {
            case(bench, &names, MatmulShape { m: bench.tokens, n, k })?;
        }
    }
    Ok(())
}

fn case<B: Backend>(bench: &mut Bench<'_, B>, names: &[String; 2], shape: MatmulShape) -> Result<()> {
    let (backend, r, MatmulShape { m, n, k }) = (bench.backend, RANK, shape);
    let weight = bench.weight(n, k)?;
    let w = Matrix::Frozen(&weight);
    let (x, dy) = (bench.activations(m * k, 1.0)?, bench.activations(m * n, 1.0)?);
    let (a, b) = (bench.floats(r * k, 0.1)?, bench.floats(n * r, 0.1)?);
    let (mut da, mut db) = (bench.output_floats(r * k)?, bench.output_floats(n * r)?);
    let (mut xa, mut dyb) = (bench.output(m * r)?, bench.output(m * r)?);
    let (mut y, mut dx) = (bench.output(m * n)?, bench.output(m * k)?);
    let lora = Lora { r, a: a.view(), b: b.view(), scale: 1.0 };
    let flops = Work::Flops(2 * m * n * k);
    let mut forward = || backend.lora_forward(shape, x.view(), None, w, None, lora, xa.view_mut(), y.view_mut());
    forward()?;
    bench.time(&names[0], flops, forward)?;
    bench.time(&names[1], flops, || {
        let (dyb, da, db) = (dyb.view_mut(), da.view_mut(), db.view_mut());
        let (dy, x, xa) = (dy.view(), x.view(), xa.view());
        backend.lora_backward(shape, dy, x, xa, w, lora, dyb, da, db, Some(dx.view_mut()), false)
    })
}
