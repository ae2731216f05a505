//! Benchmark of `nf4`: a linear layer quantised, read back, and as the weight of products, beside a plain copy.

use tunesmith_ops::nf4::{code_book, double_quantize};
use tunesmith_ops::{Backend, Host, MatmulShape, Matrix, Nf4Matrix, Nf4Options, Nf4Scales, Result, View, ViewMut};

use crate::bench::{Bench, Work};

/// Block size of bitsandbytes' default.
const BLOCK_SIZE: usize = 64;

/// Times quantising, dequantising, a copy of as many bytes, forward and the gradient of the input.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (backend, stage, m) = (bench.backend, bench.stage(), bench.tokens);
    for (name, n, k) in bench.model.linears() {
        let options = Nf4Options { block_size: BLOCK_SIZE, double_quant: true };
        let w = bench.inputs.uniform(n * k, 0.1);
        let (mut codes, mut absmax) = (vec![0; (n * k).div_ceil(2)], vec![0.0; options.blocks(n * k)]);
        bench.time(&format!("nf4_quantize {name}"), Work::Bytes(4 * n * k), || {
            backend.nf4_quantize(&w, BLOCK_SIZE, &mut codes, &mut absmax)
        })?;
        let second = double_quantize(&absmax);
        let scales = Nf4Scales::Double {
            codes: &second.codes,
            nested: &second.nested,
            code_book: code_book(),
            offset: second.offset,
        };
        let weight = backend.nf4_prepare(n, k, Nf4Matrix { block_size: BLOCK_SIZE, codes: &codes, scales })?;
        let mut values = vec![0.0; n * k];
        bench.time(&format!("nf4_dequantize {name}"), Work::Bytes(4 * n * k + options.bytes(n * k)), || {
            backend.read_weight(&weight, 0, n, &mut values)
        })?;
        let (source, mut target) = (backend.upload(Host::F32(&w))?, backend.upload(Host::F32(&w))?);
        bench.time(&format!("copy {name}"), Work::Bytes(8 * n * k), || {
            backend.copy(View::new(&source, 0, n * k), ViewMut::new(&mut target, 0, n * k))
        })?;
        let (shape, flops) = (MatmulShape { m, n, k }, Work::Flops(2 * m * n * k));
        let x = stage.floats(&bench.inputs.uniform(m * k, 1.0))?;
        let dy = stage.floats(&bench.inputs.uniform(m * n, 1.0))?;
        let (mut y, mut dx) = (stage.output(m * n)?, stage.output(m * k)?);
        bench.time(&format!("nf4 matmul_forward {name}"), flops, || {
            backend.matmul_forward(shape, x.view(), Matrix::Frozen(&weight), None, y.view_mut())
        })?;
        bench.time(&format!("nf4 matmul_backward_input {name}"), flops, || {
            backend.matmul_backward_input(shape, dy.view(), Matrix::Frozen(&weight), dx.view_mut(), false)
        })?;
    }
    Ok(())
}
