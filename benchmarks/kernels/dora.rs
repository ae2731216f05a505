//! Benchmark of `dora`: the linear layers of a block with an adapter of rank 16. The rate of the norms counts the low-rank
//! product that has to be formed.

use tunesmith_ops::{Backend, Host, Lora, Matrix, Result, Storage};

use crate::bench::{Bench, Work};

const RANK: usize = 16;

/// Times the norms, forward and backward.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (backend, stage, m, r) = (bench.backend, bench.stage(), bench.tokens, RANK);
    for (name, n, k) in bench.model.linears() {
        let weight = backend.prepare_weight(n, k, Host::F32(&bench.inputs.uniform(n * k, 0.1)), Storage::F32)?;
        let (a, b) = (bench.inputs.uniform(r * k, 0.1), bench.inputs.uniform(n * r, 0.1));
        let (a, b) = (stage.floats(&a)?, stage.floats(&b)?);
        let lora = Lora { r, a: a.view(), b: b.view(), scale: 1.0 };
        let (mut norms, magnitude) = (stage.output(n)?, stage.floats(&vec![1.0; n])?);
        bench.time(&format!("dora_norms {name}"), Work::Flops(2 * n * k * r), || {
            backend.dora_norms(n, k, Matrix::Frozen(&weight), lora, norms.view_mut())
        })?;
        let (u, dy) = (bench.inputs.uniform(m * n, 1.0), bench.inputs.uniform(m * n, 1.0));
        let (u, dy) = (stage.floats(&u)?, stage.floats(&dy)?);
        let (mut y, mut dmagnitude) = (stage.output(m * n)?, stage.floats(&vec![0.0; n])?);
        bench.time(&format!("dora_forward {name}"), Work::Bytes(2 * 4 * m * n), || {
            backend.dora_forward(m, n, u.view(), magnitude.view(), norms.view(), None, y.view_mut(), false)
        })?;
        bench.time(&format!("dora_backward {name}"), Work::Bytes(3 * 4 * m * n), || {
            let (du, dmagnitude) = (y.view_mut(), dmagnitude.view_mut());
            backend.dora_backward(m, n, dy.view(), u.view(), magnitude.view(), norms.view(), du, dmagnitude)
        })?;
    }
    Ok(())
}
