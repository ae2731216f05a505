//! Benchmark of `nf4`: a linear layer quantised, read back, and as the weight of products.

use tunesmith_ops::nf4::{code_book, double_quantize};
use tunesmith_ops::{Backend, MatmulShape, Matrix, Nf4Matrix, Nf4Options, Nf4Scales, Result};

use crate::bench::{Bench, Work};

/// Block size of bitsandbytes' default.
const BLOCK_SIZE: usize = 64;

/// Times quantising and dequantising (both to and from the host), a copy of as many bytes, products with one row and with
/// all tokens, and the gradient of the input.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    // Quantising and reading back are the host's work, and say nothing about another device.
    let first = if bench.backend.name() == "cpu" { 0 } else { 3 };
    for (name, n, k) in bench.model.linears() {
        let ops = ["nf4_quantize", "nf4_dequantize", "copy", "nf4_decode", "nf4_forward", "nf4_backward_input"];
        let names = ops.map(|op| format!("{op} {name}"));
        if names[first..].iter().any(|name| bench.wants(name)) {
            case(bench, &names, first == 0, n, k)?;
        }
    }
    Ok(())
}

fn case<B: Backend>(bench: &mut Bench<'_, B>, names: &[String; 6], host: bool, n: usize, k: usize) -> Result<()> {
    let (backend, m) = (bench.backend, bench.tokens);
    let options = Nf4Options { block_size: BLOCK_SIZE, double_quant: true };
    if host && bench.wants(&names[0]) {
        let w = bench.host(n * k, 0.1);
        let (mut codes, mut absmax) = (vec![0; (n * k).div_ceil(2)], vec![0.0; options.blocks(n * k)]);
        let quantize = || backend.nf4_quantize(&w, BLOCK_SIZE, &mut codes, &mut absmax);
        bench.time(&names[0], Work::Bytes(4 * n * k), quantize)?;
    }
    // Any codes will do for the rest.
    let codes: Vec<u8> = bench.host((n * k).div_ceil(2), 1.0).iter().map(|x| (x.to_bits() >> 8) as u8).collect();
    let absmax: Vec<f32> = bench.host(options.blocks(n * k), 1.0).iter().map(|x| x.abs()).collect();
    let second = double_quantize(&absmax);
    let scales = Nf4Scales::Double {
        codes: &second.codes,
        nested: &second.nested,
        code_book: code_book(),
        offset: second.offset,
    };
    let weight = backend.nf4_prepare(n, k, Nf4Matrix { block_size: BLOCK_SIZE, codes: &codes, scales })?;
    if host && bench.wants(&names[1]) {
        let mut values = vec![0.0; n * k];
        bench.time(&names[1], Work::Bytes(4 * n * k + options.bytes(n * k)), || {
            backend.read_weight(&weight, 0, n, &mut values)
        })?;
    }
    if host && bench.wants(&names[2]) {
        let (source, mut target) = (bench.floats(n * k, 0.1)?, bench.output_floats(n * k)?);
        bench.time(&names[2], Work::Bytes(8 * n * k), || backend.copy(source.view(), target.view_mut()))?;
    }
    let (x, dy) = (bench.activations(m * k, 1.0)?, bench.activations(m * n, 1.0)?);
    let (mut y, mut dx) = (bench.output(m * n)?, bench.output(m * k)?);
    bench.time(&names[3], Work::Bytes(options.bytes(n * k)), || {
        let (x, y) = (x.view().part(0, k)?, y.view_mut().part(0, n)?);
        backend.matmul_forward(MatmulShape { m: 1, n, k }, x, Matrix::Frozen(&weight), None, y)
    })?;
    let (shape, flops) = (MatmulShape { m, n, k }, Work::Flops(2 * m * n * k));
    bench.time(&names[4], flops, || {
        backend.matmul_forward(shape, x.view(), Matrix::Frozen(&weight), None, y.view_mut())
    })?;
    bench.time(&names[5], flops, || {
        backend.matmul_backward_input(shape, dy.view(), Matrix::Frozen(&weight), dx.view_mut(), false)
    })
}
