//! `lora_matmul`: the operands of `kernels/lora_matmul.cu`, and the products of `kernels/matmul.cu` that take them in.

use tunesmith_ops::{Lora, LoraMatmul, MatmulShape, Matrix, Result, View, ViewMut};

use crate::Cuda;
use crate::device::{Buffer, Mode};
use crate::product::{Factors, Product, Side};
use crate::weight::Weight;

/// `A[r, k]` and `s · B[n, r]` in the activations' dtype.
struct Operands {
    r: usize,
    k: usize,
    both: Buffer,
}

impl Operands {
    fn a(&self) -> Side {
        Side::of(self.both.view(), self.k)
    }

    fn b(&self) -> Side {
        Side::of(View::new(&self.both, self.r * self.k, 0), self.r)
    }
}

impl Cuda {
    fn adapter(&self, n: usize, k: usize, lora: Lora<'_, Buffer>) -> Result<Operands> {
        let (r, count_a, count_b) = (lora.r, lora.r * k, n * lora.r);
        let mut both = self.undefined(self.dtype, count_a + count_b)?;
        let launch = self.launch_activations("lora_operands_f32", "lora_operands_bf16");
        let launch = launch.blocks((count_a + count_b).div_ceil(256), 256).read(lora.a).read(lora.b);
        let launch = launch.write(&both.view_mut()).write(&ViewMut::new(&mut both, count_a, count_b));
        launch.long(count_a).long(count_b).float(lora.scale).run()?;
        Ok(Operands { r, k, both })
    }

    /// `z[m, r]`: rows times the adapter's narrow side.
    fn to_rank(
        &self,
        mode: Mode,
        (m, r, reduced): (usize, usize, usize),
        x: View<'_, Buffer>,
        b: Side,
        z: &ViewMut<'_, Buffer>,
    ) -> Result<()> {
        self.product(&Product {
            mode,
            m,
            n: r,
            main: Factors { a: Side::of(x, reduced), b, reduced },
            tail: None,
            bias: 0,
            c: z.buffer.address_of(z.start),
            c_stride: r,
            alpha: 1.0,
            accumulate: false,
        })
    }
}

impl LoraMatmul for Cuda {
    fn lora_forward(
        &self,
        shape: MatmulShape,
        x: View<'_, Buffer>,
        dropped: Option<View<'_, Buffer>>,
        w: Matrix<'_, Weight, Buffer>,
        bias: Option<View<'_, Buffer>>,
        lora: Lora<'_, Buffer>,
        xa: ViewMut<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (call, MatmulShape { m, n, k }, r) = (self.call("lora_forward"), shape, lora.r);
        lora.check_forward(call, shape, x, dropped, bias, xa.as_view(), y.as_view())?;
        let seen = dropped.unwrap_or(x);
        let w = self.operand(call, n, k, w)?;
        let adapter = self.adapter(n, k, lora)?;
        self.to_rank(Mode::Forward, (m, r, k), seen, adapter.a(), &xa)?;
        let tail = Factors { a: Side::of(xa.as_view(), r), b: adapter.b(), reduced: r };
        self.times_weight(shape, x, &w, Some(tail), bias, &y)
    }

    fn lora_backward(
        &self,
        shape: MatmulShape,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        xa: View<'_, Buffer>,
        w: Matrix<'_, Weight, Buffer>,
        lora: Lora<'_, Buffer>,
        dyb: ViewMut<'_, Buffer>,
        da: ViewMut<'_, Buffer>,
        db: ViewMut<'_, Buffer>,
        dx: Option<ViewMut<'_, Buffer>>,
        accumulate: bool,
    ) -> Result<()> {
        let (call, MatmulShape { m, n, k }, r) = (self.call("lora_backward"), shape, lora.r);
        let written = [&dyb, &da, &db].map(|view| view.as_view());
        lora.check_backward(call, shape, [dy, x, xa], written, dx.as_ref().map(ViewMut::as_view))?;
        let w = self.operand(call, n, k, w)?;
        let adapter = self.adapter(n, k, lora)?;
        self.to_rank(Mode::Input, (m, r, n), dy, adapter.b(), &dyb)?;
        self.add_token_sums((m, n, r), dy, xa, lora.scale, &db)?;
        self.add_token_sums((m, r, k), dyb.as_view(), x, 1.0, &da)?;
        let Some(dx) = dx else { return Ok(()) };
        let tail = Factors { a: Side::of(dyb.as_view(), r), b: adapter.a(), reduced: r };
        self.times_weight_turned(shape, dy, &w, Some(tail), &dx, accumulate)
    }
}
