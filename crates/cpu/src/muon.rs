//! `muon`: momentum and update in one pass each, products of whole matrices in between, one matrix after the other.

use tunesmith_ops::muon::{check, rounded};
use tunesmith_ops::{MatmulShape, Muon, MuonStep, MuonTensor, MuonWorkspace, Result};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::grad_norm::Norm;
use crate::product::{Operand, Right, Source, Transpose};
use crate::simd::{Kernel, Simd};
use crate::views::{call, floats, floats_mut};

/// Elements of one piece of work, and rows of one that is transposed.
const PIECE: usize = 8192;
const TURNED_ROWS: usize = 32;

/// The momentum of a piece, and the direction that follows from it.
struct Momentum<'a> {
    step: &'a MuonStep,
    /// Factor of the gradient.
    scale: f32,
    gradient: &'a [f32],
    momentum: &'a mut [f32],
    direction: &'a mut [f32],
    /// The squares of the direction, added.
    squares: f64,
}

/// `start + weight · (end − start)`, from the nearer end as torch does it.
#[inline(always)]
fn lerp(start: f32, end: f32, weight: f64) -> f32 {
    if weight < 0.5 { start + weight as f32 * (end - start) } else { end - (end - start) * (1.0 - weight) as f32 }
}

impl Kernel for Momentum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(mut self, _: S) -> f64 {
        let MuonStep { momentum, nesterov, .. } = *self.step;
        for ((g, m), x) in self.gradient.iter().zip(self.momentum).zip(self.direction) {
            let g = g * self.scale;
            *m = lerp(*m, g, 1.0 - momentum);
            *x = rounded(if nesterov { lerp(g, *m, momentum) } else { *m });
            self.squares += f64::from(*x) * f64::from(*x);
        }
        self.squares
    }
}

/// `x ← p · x + q · y`, rounded; without y only rounded.
struct Combine<'a> {
    p: f32,
    x: &'a mut [f32],
    q: f32,
    y: Option<&'a [f32]>,
}

impl Kernel for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { p, x, q, y } = self;
        match y {
            Some(y) => x.iter_mut().zip(y).for_each(|(x, y)| *x = rounded(p * *x + q * y)),
            None => x.iter_mut().for_each(|x| *x = rounded(*x)),
        }
    }
}

/// `x ← x / norm`, rounded.
struct Divide<'a> {
    norm: f32,
    x: &'a mut [f32],
}

impl Kernel for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        self.x.iter_mut().for_each(|x| *x = rounded(*x / self.norm));
    }
}

/// `p ← kept · p − rate · x`
struct Move<'a> {
    kept: f32,
    rate: f32,
    parameter: &'a mut [f32],
    along: &'a [f32],
}

impl Kernel for Move<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (kept, rate) = (s.splat(self.kept), s.splat(self.rate));
        for i in (0..self.parameter.len()).step_by(S::LANES) {
            let p = s.mul(s.load(&self.parameter[i..]), kept);
            s.store(&mut self.parameter[i..], s.sub(p, s.mul(rate, s.load(&self.along[i..]))));
        }
    }
}

/// One matrix of a call.
struct One<'a> {
    parameter: &'a mut [f32],
    gradient: &'a [f32],
    momentum: &'a mut [f32],
    rows: usize,
    columns: usize,
    kept: f32,
    rate: f32,
}

impl Cpu {
    /// `target = sourceᵀ` of a matrix with so many rows and columns.
    fn transpose(&self, source: &[f32], rows: usize, columns: usize, target: &mut [f32]) -> Result<()> {
        let parts = target.chunks_mut(TURNED_ROWS * rows).enumerate();
        self.pool.each(parts, |_, (number, target)| {
            let first = number * TURNED_ROWS;
            let (columns_of, source) = (target.len() / rows, Right::new(&source[first..], columns));
            self.isa.run(Transpose { source, rows, columns: columns_of, target, stride: rows, width: rows });
        })
    }

    fn combine(&self, p: f64, x: &mut [f32], q: f64, y: Option<&[f32]>) -> Result<()> {
        let (p, q) = (p as f32, q as f32);
        let pieces = x.chunks_mut(PIECE).enumerate();
        self.pool.each(pieces, |_, (number, x)| {
            let y = y.map(|y| &y[number * PIECE..number * PIECE + x.len()]);
            self.isa.run(Combine { p, x, q, y });
        })
    }

    /// The iterations: x is `[short, long]`, gram `[short, short]`, y as large as x.
    fn orthogonalize(
        &self,
        step: &MuonStep,
        (short, long): (usize, usize),
        x: &mut [f32],
        gram: &mut [f32],
        y: &mut [f32],
    ) -> Result<()> {
        let [a, b, c] = step.coefficients;
        for _ in 0..step.iterations {
            let w = Operand { n: short, k: long, source: Source::Rows(x) };
            self.forward_tiles(MatmulShape { m: short, n: short, k: long }, x, w, None, None, gram)?;
            self.combine(1.0, gram, 0.0, None)?;
            // A Gram matrix and its polynomial are their own transposes.
            let square = &mut y[..short * short];
            square.fill(0.0);
            self.token_sums(MatmulShape { m: short, n: short, k: short }, gram, gram, square)?;
            self.combine(b, gram, c, Some(square))?;
            y.fill(0.0);
            self.token_sums(MatmulShape { m: short, n: short, k: long }, gram, x, y)?;
            self.combine(a, x, 1.0, Some(y))?;
        }
        Ok(())
    }

    fn muon_matrix(&self, step: &MuonStep, scale: f32, one: One<'_>, x: &mut [f32], y: &mut [f32]) -> Result<()> {
        let One { parameter, gradient, momentum, rows, columns, kept, rate } = one;
        let (len, short, long) = (rows * columns, rows.min(columns), rows.max(columns));
        let (x, rest) = x.split_at_mut(len);
        let (gram, y) = (&mut rest[..short * short], &mut y[..len]);
        let mut squares = vec![0.0; len.div_ceil(PIECE)];
        let parts = gradient.chunks(PIECE).zip(momentum.chunks_mut(PIECE)).zip(y.chunks_mut(PIECE)).zip(&mut squares);
        self.pool.each(parts, |_, (((gradient, momentum), direction), squares)| {
            *squares = self.isa.run(Momentum { step, scale, gradient, momentum, direction, squares: 0.0 });
        })?;
        if rows > columns {
            self.transpose(y, rows, columns, x)?;
        } else {
            x.copy_from_slice(y);
        }
        let norm = rounded(squares.iter().sum::<f64>().sqrt() as f32).max(rounded(step.epsilon as f32));
        self.pool.each(x.chunks_mut(PIECE), |_, x| self.isa.run(Divide { norm, x }))?;
        self.orthogonalize(step, (short, long), x, gram, y)?;
        if rows > columns {
            self.transpose(x, columns, rows, y)?;
        }
        let along = if rows > columns { &*y } else { &*x };
        let pieces = parameter.chunks_mut(PIECE).zip(along.chunks(PIECE));
        self.pool.each(pieces, |_, (parameter, along)| self.isa.run(Move { kept, rate, parameter, along }))
    }
}

impl Muon for Cpu {
    fn muon(
        &self,
        step: &MuonStep,
        norm: &Norm,
        tensors: &mut [MuonTensor<'_, Buffer>],
        workspace: MuonWorkspace<'_, Buffer>,
    ) -> Result<()> {
        check(call("muon"), tensors, &workspace)?;
        let Some(factor) = norm.factor() else { return Ok(()) };
        let (x, y) = (floats_mut(workspace.activations), floats_mut(workspace.floats));
        for tensor in tensors {
            let [_, rows, columns] = tensor.shape;
            let (kept, rate) = ((1.0 - tensor.decay) as f32, tensor.learning_rate as f32);
            let len = (rows * columns).max(1);
            let parameters = floats_mut(tensor.parameter.reborrow()).chunks_mut(len);
            let states =
                floats(tensor.gradient).chunks(len).zip(floats_mut(tensor.momentum_buffer.reborrow()).chunks_mut(len));
            for (parameter, (gradient, momentum)) in parameters.zip(states) {
                let one = One { parameter, gradient, momentum, rows, columns, kept, rate };
                self.muon_matrix(step, factor as f32, one, x, y)?;
            }
        }
        Ok(())
    }
}
