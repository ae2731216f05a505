//! Prints the rate of the products of a small language model: `cargo run --release -p tunesmith-cpu --example gemm_rate`.
//!
//! Columns: GFLOP/s of the forward product, of the input gradient, and of both with a LoRA adapter of rank 16 beside the
//! weight (counting the frozen product only, so that the difference is what the adapter costs). Every figure is the best of
//! many runs, because other programs may hold a core now and then.

use std::time::Instant;

use tunesmith_cpu::{Buffer, Cpu, Weight};
use tunesmith_ops::{
    DType, Host, Lora, LoraMatmul, Matmul, MatmulShape, Matrix, Memory, Result, Storage, View, ViewMut,
};

/// (out features, in features) of SmolLM2-135M: attention, key and value, up and gate, down, head.
const SHAPES: [(usize, usize); 5] = [(576, 576), (192, 576), (1536, 576), (576, 1536), (49152, 576)];

/// Rank of the adapter.
const RANK: usize = 16;

fn main() -> Result<()> {
    for threads in [1, 2] {
        let cpu = Cpu::new(threads)?;
        println!("{} threads, {}", cpu.threads(), cpu.isa().name());
        println!(
            "{:>5} {:>6} {:>5} {:>9} {:>9} {:>9} {:>9}",
            "m", "n", "k", "forward", "backward", "lora fwd", "lora bwd"
        );
        for (n, k) in SHAPES {
            let weight = cpu.prepare_weight(n, k, Host::F32(&numbers(n * k)), Storage::F32)?;
            for m in [1, 16, 128, 512, 1024] {
                row(&cpu, MatmulShape { m, n, k }, &weight)?;
            }
        }
    }
    Ok(())
}

fn row(cpu: &Cpu, shape: MatmulShape, weight: &Weight) -> Result<()> {
    let MatmulShape { m, n, k } = shape;
    let [x, dy, a, b] = [m * k, m * n, RANK * k, n * RANK].map(|len| cpu.upload(Host::F32(&numbers(len))));
    let (x, dy, a, b) = (x?, dy?, a?, b?);
    let [y, dx, xa, dyb, da, db] =
        [m * n, m * k, m * RANK, m * RANK, RANK * k, n * RANK].map(|len| cpu.zeros(DType::F32, len));
    let (mut y, mut dx, mut xa, mut dyb, mut da, mut db) = (y?, dx?, xa?, dyb?, da?, db?);
    let w = Matrix::Frozen(weight);
    let lora = Lora { r: RANK, a: all(cpu, &a), b: all(cpu, &b), scale: 2.0 };
    let forward = best(shape, || cpu.matmul_forward(shape, all(cpu, &x), w, None, all_mut(cpu, &mut y)))?;
    let backward = best(shape, || cpu.matmul_backward_input(shape, all(cpu, &dy), w, all_mut(cpu, &mut dx), false))?;
    let lora_forward = best(shape, || {
        let (xa, y) = (all_mut(cpu, &mut xa), all_mut(cpu, &mut y));
        cpu.lora_forward(shape, all(cpu, &x), None, w, None, lora, xa, y)
    })?;
    let lora_backward = best(shape, || {
        let (dyb, da, db) = (all_mut(cpu, &mut dyb), all_mut(cpu, &mut da), all_mut(cpu, &mut db));
        let (dy, x, xa) = (all(cpu, &dy), all(cpu, &x), all(cpu, &xa));
        cpu.lora_backward(shape, dy, x, xa, w, lora, dyb, da, db, Some(all_mut(cpu, &mut dx)), false)
    })?;
    println!("{m:>5} {n:>6} {k:>5} {forward:>9.1} {backward:>9.1} {lora_forward:>9.1} {lora_backward:>9.1}");
    Ok(())
}

/// Rate of the frozen product in the fastest of the runs that fit into 150 ms, at least three.
fn best(shape: MatmulShape, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let (start, mut fastest, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < 3 || start.elapsed().as_millis() < 150 {
        let begin = Instant::now();
        work()?;
        fastest = fastest.min(begin.elapsed().as_secs_f64());
        runs += 1;
    }
    Ok(2.0 * (shape.m * shape.n * shape.k) as f64 / fastest / 1e9)
}

fn all<'a>(cpu: &Cpu, buffer: &'a Buffer) -> View<'a, Buffer> {
    View::new(buffer, 0, cpu.len(buffer))
}

fn all_mut<'a>(cpu: &Cpu, buffer: &'a mut Buffer) -> ViewMut<'a, Buffer> {
    let len = cpu.len(buffer);
    ViewMut::new(buffer, 0, len)
}

/// Numbers without a pattern the hardware could use: the golden ratio's multiples.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.618_034).fract() - 0.5).collect()
}
