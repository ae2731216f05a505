//! `matmul`: launches of `kernels/matmul.cu`.

use tunesmith_ops::{Host, Matmul, MatmulShape, Matrix, Result, Storage, View, ViewMut};

use crate::Cuda;
use crate::device::{Buffer, Mode};
use crate::product::{Factors, Product, Side};
use crate::weight::Weight;

impl Cuda {
    /// `dw[m, n] += alpha · a[tokens, m]ᵀ · b[tokens, n]`, in float32.
    pub(crate) fn add_token_sums(
        &self,
        (tokens, m, n): (usize, usize, usize),
        a: View<'_, Buffer>,
        b: View<'_, Buffer>,
        alpha: f32,
        dw: &ViewMut<'_, Buffer>,
    ) -> Result<()> {
        self.product(&Product {
            mode: Mode::Weight,
            m,
            n,
            main: Factors { a: Side::of(a, m), b: Side::of(b, n), reduced: tokens },
            tail: None,
            bias: 0,
            c: dw.buffer.address_of(dw.start),
            c_stride: n,
            alpha,
            accumulate: true,
        })
    }
}

impl Matmul for Cuda {
    type Weight = Weight;

    fn prepare_weight(&self, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Weight> {
        self.prepare_dense(n, k, host, storage)
    }

    fn read_weight(&self, weight: &Weight, first: usize, rows: usize, target: &mut [f32]) -> Result<()> {
        self.read_rows(weight, first, rows, target)
    }

    fn matmul_forward(
        &self,
        shape: MatmulShape,
        x: View<'_, Buffer>,
        w: Matrix<'_, Weight, Buffer>,
        bias: Option<View<'_, Buffer>>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (call, MatmulShape { n, k, .. }) = (self.call("matmul_forward"), shape);
        shape.check_forward(call, x, bias, y.as_view())?;
        let w = self.operand(call, n, k, w)?;
        self.times_weight(shape, x, &w, None, bias, &y)
    }

    fn matmul_backward_input(
        &self,
        shape: MatmulShape,
        dy: View<'_, Buffer>,
        w: Matrix<'_, Weight, Buffer>,
        dx: ViewMut<'_, Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        let (call, MatmulShape { n, k, .. }) = (self.call("matmul_backward_input"), shape);
        shape.check_backward_input(call, dy, dx.as_view())?;
        let w = self.operand(call, n, k, w)?;
        self.times_weight_turned(shape, dy, &w, None, &dx, accumulate)
    }

    fn matmul_backward_weight(
        &self,
        shape: MatmulShape,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        dw: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let MatmulShape { m, n, k } = shape;
        shape.check_backward_weight(self.call("matmul_backward_weight"), dy, x, dw.as_view())?;
        self.add_token_sums((m, n, k), dy, x, 1.0, &dw)
    }
}
