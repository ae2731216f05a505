//! `matmul`: products with a weight.

use tunesmith_ops::{Error, Host, Matmul, MatmulShape, Matrix, Result, Storage, View, ViewMut};

use crate::buffer::Buffer;
use crate::weight::{Weight, operand};
use crate::{Cpu, check};

/// Rows of one piece of a weight that is read back.
const READ_ROWS: usize = 16;

impl Matmul for Cpu {
    type Weight = Weight;

    fn prepare_weight(&self, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Weight> {
        Weight::prepare(self, n, k, host, storage)
    }

    fn read_weight(&self, weight: &Weight, first: usize, rows: usize, target: &mut [f32]) -> Result<()> {
        let w = weight.operand();
        if first.checked_add(rows).is_none_or(|end| end > w.n) || target.len() != rows * w.k {
            let got = format!("{rows} rows from {first} into {} elements", target.len());
            return Err(Error::argument("read_weight", format!("rows of {} × {}", w.n, w.k), got));
        }
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
        let (op, MatmulShape { m, n, k }) = ("matmul_forward", shape);
        let x = check::floats(op, "x", x, m * k)?;
        let w = operand(op, n, k, w)?;
        let bias = bias.map(|b| check::floats(op, "bias", b, n)).transpose()?;
        let y = check::floats_mut(op, "y", y, m * n)?;
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
        let (op, MatmulShape { m, n, k }) = ("matmul_backward_input", shape);
        let dy = check::floats(op, "dy", dy, m * n)?;
        let w = operand(op, n, k, w)?;
        let dx = check::floats_mut(op, "dx", dx, m * k)?;
        self.backward_tiles(shape, dy, w, None, dx, accumulate)
    }

    fn matmul_backward_weight(
        &self,
        shape: MatmulShape,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        dw: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (op, MatmulShape { m, n, k }) = ("matmul_backward_weight", shape);
        let dy = check::floats(op, "dy", dy, m * n)?;
        let x = check::floats(op, "x", x, m * k)?;
        let dw = check::floats_mut(op, "dw", dw, n * k)?;
        self.token_sums(shape, dy, x, dw)
    }
}
