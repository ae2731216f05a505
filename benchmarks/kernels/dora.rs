//! Benchmark of `dora`: the linear layers of a block with an adapter of rank 16. The rate of the norms counts the low-rank
//! product that has to be formed.

use tunesmith_ops::{Backend, Lora, Matrix, Result};

use crate::bench::{Bench, Work};

const RANK: usize = 16;

/// Times the norms, forward and backward.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (backend, m, r, width) = (bench.backend, bench.tokens, RANK, bench.width());
    for (name, n, k) in bench.model.linears() {
        let names = ["norms", "forward", "backward"].map(|part| format!("dora_{part} {name}"));
        if !names.iter().any(|name| bench.wants(name)) {
            continue;
        }
        let weight = bench.weight(n, k)?;
        let (a, b) = (bench.floats(r * k, 0.1)?, bench.floats(n * r, 0.1)?);
        let lora = Lora { r, a: a.view(), b: b.view(), scale: 1.0 };
        let (mut norms, magnitude) = (bench.output_floats(n)?, bench.constant(1.0, n)?);
        bench.time(&names[0], Work::Flops(2 * n * k * r), || {
            backend.dora_norms(n, k, Matrix::Frozen(&weight), lora, norms.view_mut())
        })?;
        let norms = bench.constant(1.0, n)?;
        let (u, dy) = (bench.activations(m * n, 1.0)?, bench.activations(m * n, 1.0)?);
        let (mut y, mut dmagnitude) = (bench.output(m * n)?, bench.output_floats(n)?);
        bench.time(&names[1], Work::Bytes(2 * width * m * n), || {
            backend.dora_forward(m, n, u.view(), magnitude.view(), norms.view(), None, y.view_mut(), false)
        })?;
        bench.time(&names[2], Work::Bytes(3 * width * m * n), || {
            let (du, dmagnitude) = (y.view_mut(), dmagnitude.view_mut());
            backend.dora_backward(m, n, dy.view(), u.view(), magnitude.view(), norms.view(), du, dmagnitude)
        })?;
    }
    Ok(())
}
