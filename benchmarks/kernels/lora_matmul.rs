//! Benchmark of `lora_matmul`: the linear layers of a block with an adapter of rank 16. The rate counts the frozen product
//! only, so that the difference to `matmul` is what the adapter costs.

use tunesmith_ops::{Backend, Host, Lora, MatmulShape, Matrix, Result, Storage};

use crate::bench::{Bench, Work};

const RANK: usize = 16;

/// Times forward and backward.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (backend, stage, m, r) = (bench.backend, bench.stage(), bench.tokens, RANK);
    for (name, n, k) in bench.model.linears() {
        let shape = MatmulShape { m, n, k };
        let weight = backend.prepare_weight(n, k, Host::F32(&bench.inputs.uniform(n * k, 0.1)), Storage::F32)?;
        let w = Matrix::Frozen(&weight);
        let [x, dy] = [m * k, m * n].map(|len| stage.floats(&bench.inputs.uniform(len, 1.0)));
        let [a, b] = [r * k, n * r].map(|len| stage.floats(&bench.inputs.uniform(len, 0.1)));
        let [da, db] = [r * k, n * r].map(|len| stage.floats(&vec![0.0; len]));
        let [xa, dyb, y, dx] = [m * r, m * r, m * n, m * k].map(|len| stage.output(len));
        let (x, dy, a, b) = (x?, dy?, a?, b?);
        let (mut da, mut db, mut xa, mut dyb, mut y, mut dx) = (da?, db?, xa?, dyb?, y?, dx?);
        let lora = Lora { r, a: a.view(), b: b.view(), scale: 1.0 };
        let flops = Work::Flops(2 * m * n * k);
        bench.time(&format!("lora_forward {name}"), flops, || {
            backend.lora_forward(shape, x.view(), None, w, None, lora, xa.view_mut(), y.view_mut())
        })?;
        bench.time(&format!("lora_backward {name}"), flops, || {
            let (dyb, da, db) = (dyb.view_mut(), da.view_mut(), db.view_mut());
            let (dy, x, xa) = (dy.view(), x.view(), xa.view());
            backend.lora_backward(shape, dy, x, xa, w, lora, dyb, da, db, Some(dx.view_mut()), false)
        })?;
    }
    Ok(())
}
