//! `muon`: launches of `kernels/muon.cu`, and the products between them.

use tunesmith_ops::muon::{check, rounded};
use tunesmith_ops::{DType, Memory as _, Muon, MuonStep, MuonTensor, MuonWorkspace, Result, View, ViewMut};

use crate::Cuda;
use crate::device::{Buffer, Launch, Mode};
use crate::grad_norm::Norm;
use crate::product::{Factors, Product, Side};

const THREADS: usize = 256;

/// Elements of a piece whose squares are added.
const PIECE: usize = 4096;

/// Shared memory of a sum over the block in float64.
const SCRATCH: usize = THREADS / 32 * 8;

/// What a matrix is worked on in: its direction `[short, long]`, Gram matrix and products.
struct Work<'a> {
    short: usize,
    long: usize,
    x: View<'a, Buffer>,
    gram: View<'a, Buffer>,
    y: ViewMut<'a, Buffer>,
    /// Sums of squares of its pieces in float64, and the norm that is made of them.
    partials: View<'a, Buffer>,
    size: View<'a, Buffer>,
}

impl Cuda {
    fn of_elements(&self, f32: &'static str, bf16: &'static str, len: usize) -> Launch<'_> {
        self.launch_activations(f32, bf16).blocks(len.div_ceil(THREADS), THREADS as u32).long(len)
    }

    /// `x ← p x + q y`, rounded; without y only rounded.
    fn combine(&self, p: f64, x: View<'_, Buffer>, q: f64, y: Option<View<'_, Buffer>>) -> Result<()> {
        let launch = self.of_elements("muon_combine_f32", "muon_combine_bf16", x.len);
        launch.float(p as f32).read(x).float(q as f32).read_some(y).run()
    }

    /// One iteration. A Gram matrix and its polynomial are their own transposes.
    fn iterate(&self, [a, b, c]: [f64; 3], work: &mut Work<'_>) -> Result<()> {
        let Work { short, long, x, gram, ref mut y, .. } = *work;
        self.product(&Product {
            mode: Mode::Forward,
            m: short,
            n: short,
            main: Factors { a: Side::of(x, long), b: Side::of(x, long), reduced: long },
            tail: None,
            bias: 0,
            c: gram.buffer.address_of(gram.start),
            c_stride: short,
            alpha: 1.0,
            accumulate: false,
        })?;
        if self.dtype == DType::F32 {
            self.combine(1.0, gram, 0.0, None)?;
        }
        let square = y.reborrow().part(0, short * short)?;
        self.clear(ViewMut::new(&mut *square.buffer, square.start, square.len))?;
        self.add_token_sums((short, short, short), gram, gram, 1.0, &square)?;
        self.combine(b, gram, c, Some(square.as_view()))?;
        self.clear(y.reborrow())?;
        self.add_token_sums((short, short, long), gram, x, 1.0, y)?;
        self.combine(a, x, 1.0, Some(y.as_view()))
    }

    /// One matrix of a tensor, the one that begins at its element `first`.
    fn muon_matrix(
        &self,
        step: &MuonStep,
        norm: &Norm,
        tensor: &mut MuonTensor<'_, Buffer>,
        first: usize,
        work: &mut Work<'_>,
    ) -> Result<()> {
        let [_, rows, columns] = tensor.shape;
        let len = rows * columns;
        let pieces = len.div_ceil(PIECE);
        let launch = self.launch_activations("muon_momentum_f32", "muon_momentum_bf16");
        let launch = launch.blocks(pieces, THREADS as u32).shared(SCRATCH).long(len).int(rows).int(columns);
        let launch = launch.read(tensor.gradient.part(first, len)?);
        let launch = launch.write(&tensor.momentum_buffer.reborrow().part(first, len)?);
        let launch = launch.read(work.x).read(work.partials).read(norm.words.view());
        let launch = launch.float(step.momentum as f32).float((1.0 - step.momentum) as f32);
        launch.flag(step.nesterov).run()?;
        let launch = self.launch("muon_norm").blocks(1, THREADS as u32).shared(SCRATCH).int(pieces);
        launch.read(work.partials).float(rounded(step.epsilon as f32)).read(work.size).run()?;
        self.of_elements("muon_divide_f32", "muon_divide_bf16", len).read(work.x).read(work.size).run()?;
        for _ in 0..step.iterations {
            self.iterate(step.coefficients, work)?;
        }
        let launch = self.of_elements("muon_move_f32", "muon_move_bf16", len).int(rows).int(columns);
        let launch = launch.write(&tensor.parameter.reborrow().part(first, len)?).read(work.x);
        let launch = launch.read(norm.words.view()).float((1.0 - tensor.decay) as f32);
        launch.float(tensor.learning_rate as f32).run()
    }
}

impl Muon for Cuda {
    fn muon(
        &self,
        step: &MuonStep,
        norm: &Norm,
        tensors: &mut [MuonTensor<'_, Buffer>],
        mut workspace: MuonWorkspace<'_, Buffer>,
    ) -> Result<()> {
        check(self.call("muon"), tensors, &workspace)?;
        let most = tensors.iter().map(|tensor| tensor.shape[1] * tensor.shape[2]).max().unwrap_or_default();
        let partials = self.undefined(DType::F32, 2 * most.div_ceil(PIECE))?;
        let size = self.undefined(DType::F32, 1)?;
        for tensor in tensors {
            let [count, rows, columns] = tensor.shape;
            let (len, short, long) = (rows * columns, rows.min(columns), rows.max(columns));
            if len == 0 {
                continue;
            }
            let activations = workspace.activations.as_view();
            let (x, gram) = (activations.part(0, len)?, activations.part(len, short * short)?);
            let (y, partials, size) = (workspace.floats.reborrow().part(0, len)?, partials.view(), size.view());
            let mut work = Work { short, long, x, gram, y, partials, size };
            for matrix in 0..count {
                self.muon_matrix(step, norm, tensor, matrix * len, &mut work)?;
            }
        }
        Ok(())
    }
}
