//! `adafactor`: three passes over the gradient, in pieces of 256 rows: moments, size of the update, update.

use std::iter::repeat;
use std::ops::Range;

use tunesmith_ops::{Adafactor, AdafactorStep, AdafactorTensor, Result};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::grad_norm::Norm;
use crate::product::CHUNK;
use crate::simd::{Kernel, Simd};
use crate::views::{floats, floats_mut};

/// Columns whose squares are added in float32 before they join the sum of a row.
const BLOCK: usize = 1024;

/// The constants of a step, as float32.
#[derive(Clone, Copy)]
struct Constants {
    /// Factor of the gradient.
    scale: f32,
    kept: f32,
    taken: f32,
    epsilon: f32,
    /// What is kept of the first moment, and one less it.
    beta1: [f32; 2],
}

impl Constants {
    fn new(step: &AdafactorStep, factor: f64) -> Self {
        let (kept, beta1) = (step.kept(), step.beta1.unwrap_or(0.0));
        Self {
            scale: factor as f32,
            kept: kept as f32,
            taken: (1.0 - kept) as f32,
            epsilon: step.epsilon[0] as f32,
            beta1: [beta1, 1.0 - beta1].map(|x| x as f32),
        }
    }

    /// Takes a mean square into a moment.
    fn take(&self, moment: &mut f32, mean_square: f64) {
        *moment = *moment * self.kept + self.taken * (mean_square as f32 + self.epsilon);
    }
}

/// A piece of one tensor: rows of one matrix.
struct Piece<'a> {
    /// Which matrix, and which rows of all matrices.
    matrix: usize,
    rows: Range<usize>,
    parameter: &'a mut [f32],
    gradient: &'a [f32],
    /// Moments of the rows; empty of a vector.
    moments: &'a mut [f32],
    first_moment: &'a mut [f32],
    /// Sums of squares: of the gradient down its columns, of the update, of the parameter.
    columns: Vec<f32>,
    update: f64,
    size: f64,
}

/// One tensor of a call.
struct Work<'a> {
    shape: [usize; 3],
    pieces: Vec<Piece<'a>>,
    column_moment: &'a mut [f32],
    /// What rows and columns of the gradient are multiplied with.
    factors: [Vec<f32>; 2],
    learning_rate: f64,
    weight_decay: f64,
}

impl<'a> Work<'a> {
    fn new(tensor: &'a mut AdafactorTensor<'_, Buffer>) -> Self {
        let [e, n, k] = tensor.shape;
        let mut parameter = floats_mut(tensor.parameter.reborrow());
        let mut gradient = floats(tensor.gradient);
        let mut moments = tensor.row_moment.as_mut().map(|view| floats_mut(view.reborrow())).unwrap_or_default();
        let mut first = tensor.first_moment.as_mut().map(|view| floats_mut(view.reborrow())).unwrap_or_default();
        let chunks = (0..e).flat_map(|matrix| (0..n).step_by(CHUNK).map(move |start| (matrix, start)));
        let pieces = chunks.filter(|_| k > 0).map(|(matrix, start)| {
            let rows = CHUNK.min(n - start);
            Piece {
                matrix,
                rows: matrix * n + start..matrix * n + start + rows,
                parameter: parameter.split_off_mut(..rows * k).unwrap_or_default(),
                gradient: gradient.split_off(..rows * k).unwrap_or_default(),
                moments: moments.split_off_mut(..rows).unwrap_or_default(),
                first_moment: first.split_off_mut(..rows * k).unwrap_or_default(),
                columns: vec![0.0; k],
                update: 0.0,
                size: 0.0,
            }
        });
        Self {
            shape: tensor.shape,
            pieces: pieces.collect(),
            column_moment: floats_mut(tensor.column_moment.reborrow()),
            factors: [vec![1.0; e * n], vec![1.0; e * k]],
            learning_rate: tensor.learning_rate,
            weight_decay: tensor.weight_decay,
        }
    }

    /// Moments of the columns, and the factors that the moments put on the gradient.
    fn finish(&mut self, constants: Constants) {
        let [_, n, k] = self.shape;
        let [row_factors, column_factors] = &mut self.factors;
        for pieces in self.pieces.chunk_by(|a, b| a.matrix == b.matrix) {
            let Some(Piece { matrix, rows, .. }) = pieces.first() else { return };
            let (columns, rows) = (matrix * k..(matrix + 1) * k, rows.start..rows.start + n);
            let moments = self.column_moment[columns.clone()].iter_mut().zip(&mut column_factors[columns]);
            for (j, (moment, factor)) in moments.enumerate() {
                let sum: f64 = pieces.iter().map(|piece| f64::from(piece.columns[j])).sum();
                constants.take(moment, sum / n as f64);
                *factor = 1.0 / moment.sqrt();
            }
            let moments = pieces.iter().flat_map(|piece| piece.moments.iter().copied());
            let mean = moments.clone().map(f64::from).sum::<f64>() / n as f64;
            for (factor, moment) in row_factors[rows].iter_mut().zip(moments) {
                *factor = 1.0 / (moment / mean as f32).sqrt();
            }
        }
    }

    /// Learning rate with the parameter's scale, and what the update is multiplied with.
    fn rates(&self, step: &AdafactorStep) -> [f32; 2] {
        let len: usize = self.shape.iter().product();
        let root = |sum: f64| (sum / len.max(1) as f64).sqrt();
        let size = root(self.pieces.iter().map(|piece| piece.size).sum()).max(step.epsilon[1]);
        let rate = self.learning_rate * if step.scale_parameter { size } else { 1.0 };
        let update = root(self.pieces.iter().map(|piece| piece.update).sum());
        [rate, rate / (update / step.clip_threshold).max(1.0)].map(|x| x as f32)
    }
}

/// The squares of a piece: moments of its rows, sums down its columns.
struct Squares<'a, 'b> {
    constants: Constants,
    piece: &'b mut Piece<'a>,
    scales: bool,
}

impl Kernel for Squares<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { constants, piece, scales } = self;
        let (k, scale) = (piece.columns.len(), s.splat(constants.scale));
        let mut moments = piece.moments.iter_mut();
        for row in piece.gradient.chunks_exact(k) {
            let mut sum = 0.0;
            for (row, columns) in row.chunks(BLOCK).zip(piece.columns.chunks_mut(BLOCK)) {
                let mut squares = s.splat(0.0);
                for i in (0..row.len()).step_by(S::LANES) {
                    let g = s.mul(s.load(&row[i..]), scale);
                    squares = s.fma(g, g, squares);
                    let column = s.load(&columns[i..]);
                    s.store(&mut columns[i..], s.fma(g, g, column));
                }
                sum += f64::from(s.sum(squares));
            }
            if let Some(moment) = moments.next() {
                constants.take(moment, sum / k as f64);
            }
        }
        if scales {
            piece.size = squared_sum(s, piece.parameter);
        }
    }
}

#[inline(always)]
fn squared_sum<S: Simd>(s: S, values: &[f32]) -> f64 {
    let block = |values: &[f32]| {
        let mut squares = s.splat(0.0);
        for i in (0..values.len()).step_by(S::LANES) {
            let x = s.load(&values[i..]);
            squares = s.fma(x, x, squares);
        }
        f64::from(s.sum(squares))
    };
    values.chunks(BLOCK).map(block).sum()
}

/// What the second moments make of a piece of the gradient.
struct Update<'a, 'b> {
    scale: f32,
    factors: &'b [Vec<f32>; 2],
    piece: &'b mut Piece<'a>,
}

impl<'b> Update<'_, 'b> {
    /// Columns of the piece, and what its rows and columns are multiplied with.
    #[inline(always)]
    fn factors(&self) -> (usize, &'b [f32], &'b [f32]) {
        let k = self.piece.columns.len();
        let [rows, columns] = self.factors;
        (k, &rows[self.piece.rows.clone()], &columns[self.piece.matrix * k..(self.piece.matrix + 1) * k])
    }
}

/// The square of the update's size.
struct Size<'a, 'b>(Update<'a, 'b>);

impl Kernel for Size<'_, '_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        let (k, rows, columns) = self.0.factors();
        let mut sum = 0.0;
        for (row, factor) in self.0.piece.gradient.chunks_exact(k).zip(rows) {
            let factor = s.splat(self.0.scale * factor);
            for (row, columns) in row.chunks(BLOCK).zip(columns.chunks(BLOCK)) {
                let mut squares = s.splat(0.0);
                for i in (0..row.len()).step_by(S::LANES) {
                    let u = s.mul(s.mul(s.load(&row[i..]), factor), s.load(&columns[i..]));
                    squares = s.fma(u, u, squares);
                }
                sum += f64::from(s.sum(squares));
            }
        }
        sum
    }
}

/// The update itself: what is kept of the parameter, and the rate.
struct Move<'a, 'b> {
    update: Update<'a, 'b>,
    beta1: [f32; 2],
    kept: f32,
    rate: f32,
}

impl Kernel for Move<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { update, beta1: [beta1, taken], kept, rate } = self;
        let (k, rows, columns) = update.factors();
        let mut first = update.piece.first_moment.chunks_exact_mut(k);
        let gradient = update.piece.gradient.chunks_exact(k).zip(rows);
        for (parameter, (gradient, factor)) in update.piece.parameter.chunks_exact_mut(k).zip(gradient) {
            let (factor, moment) = (s.splat(update.scale * factor), first.next().unwrap_or_default());
            for i in (0..k).step_by(S::LANES) {
                let u = s.mul(s.mul(s.load(&gradient[i..]), factor), s.load(&columns[i..]));
                let mut along = s.mul(u, s.splat(rate));
                if !moment.is_empty() {
                    let before = s.mul(s.load(&moment[i..]), s.splat(beta1));
                    along = s.fma(along, s.splat(taken), before);
                    s.store(&mut moment[i..], along);
                }
                let p = s.mul(s.load(&parameter[i..]), s.splat(kept));
                s.store(&mut parameter[i..], s.sub(p, along));
            }
        }
    }
}

impl Adafactor for Cpu {
    fn adafactor(&self, step: &AdafactorStep, norm: &Norm, tensors: &mut [AdafactorTensor<'_, Buffer>]) -> Result<()> {
        tensors.iter().try_for_each(|tensor| tensor.check(step))?;
        let Some(factor) = norm.factor() else { return Ok(()) };
        let constants = Constants::new(step, factor);
        let mut works: Vec<_> = tensors.iter_mut().map(Work::new).collect();
        let (isa, scale, scales) = (self.isa, constants.scale, step.scale_parameter);
        let squares = works.iter_mut().flat_map(|work| &mut work.pieces);
        self.pool.each(squares, |_, piece| isa.run(Squares { constants, piece, scales }))?;
        self.pool.each(works.iter_mut(), |_, work| work.finish(constants))?;
        let of_pieces =
            works.iter_mut().flat_map(|Work { pieces, factors, .. }| pieces.iter_mut().zip(repeat(&*factors)));
        self.pool.each(of_pieces, |_, (piece, factors)| {
            piece.update = isa.run(Size(Update { scale, factors, piece: &mut *piece }));
        })?;
        let moves = works.iter_mut().flat_map(|work| {
            let [learning_rate, rate] = work.rates(step);
            let kept = (1.0 - f64::from(learning_rate) * work.weight_decay) as f32;
            let Work { pieces, factors, .. } = work;
            pieces.iter_mut().zip(repeat((&*factors, kept, rate)))
        });
        self.pool.each(moves, |_, (piece, (factors, kept, rate))| {
            isa.run(Move { update: Update { scale, factors, piece }, beta1: constants.beta1, kept, rate });
        })
    }
}
