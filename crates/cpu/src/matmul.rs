//! `matmul`: products with a weight.

use tunesmith_ops::matmul::check_read;
use tunesmith_ops::{Host, Matmul, MatmulShape, Matrix, Result, Storage, View, ViewMut};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::views::{call, floats, floats_mut};
use crate::weight::{Weight, operand};

/// Rows of one piece of a weight that is read back.
const READ_ROWS: usize = 16;

impl Matmul for Cpu {
    type Weight = Weight;

    fn prepare_weight(&self, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Weight> {
        Weight::prepare(self, n, k, host, storage)
    }

    fn read_weight(&self, weight: &Weight, first: usize, rows: usize, target: &mut [f32]) -> Result<()> {
        let w = weight.operand();
        check_read((w.n, w.k), first, rows, target.len())?;
        let pieces = target.chunks_mut((READ_ROWS * w.k).max(1));
        self.pool.each(pieces, |index, piece| {
            for (i, row) in piece.chunks_exact_mut(w.k).enumerate() {
                w.read_row(self.isa, first + index * READ_ROWS + i, row);
            }
        })
    }

    fn matmul_forward(
        &self,
        shape: MatmulShape,
        x: View<'_, Buffer>,
        w: Matrix<'_, Weight, Buffer>,
        bias: Option<View<'_, Buffer>>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (call, MatmulShape { n, k, .. }) = (call("matmul_forward"), shape);
        shape.check_forward(call, x, bias, y.as_view())?;
        let x = floats(x);
        let w = operand(call, n, k, w)?;
        let bias = bias.map(floats);
        let y = floats_mut(y);
        self.forward_tiles(shape, x, w, bias, None, y)
    }

    fn matmul_backward_input(
        &self,
        shape: MatmulShape,
        dy: View<'_, Buffer>,
        w: Matrix<'_, Weight, Buffer>,
        dx: ViewMut<'_, Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        let (call, MatmulShape { n, k, .. }) = (call("matmul_backward_input"), shape);
        shape.check_backward_input(call, dy, dx.as_view())?;
        let dy = floats(dy);
        let w = operand(call, n, k, w)?;
        let dx = floats_mut(dx);
        self.backward_tiles(shape, dy, w, None, dx, accumulate)
    }

    fn matmul_backward_weight(
        &self,
        shape: MatmulShape,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        dw: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        shape.check_backward_weight(call("matmul_backward_weight"), dy, x, dw.as_view())?;
        let dy = floats(dy);
        let x = floats(x);
        let dw = floats_mut(dw);
        self.token_sums(shape, dy, x, dw)
    }
}
