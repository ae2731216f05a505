//! `dora`: launches of `kernels/dora.cu`.

use tunesmith_ops::{DType, Dora, Lora, Matrix, Result, TypedBuffer, View, ViewMut, dora};

use crate::Cuda;
use crate::device::{Address, Buffer};
use crate::weight::{Data, Weight};

const THREADS: u32 = 256;

/// Rows of one block of the norms.
const ROWS: usize = 16;

/// Rows of a chunk of the magnitude's gradient.
const CHUNK: usize = 256;

/// A launch of the norms of `rows` rows from `first` on, which lie at `w`.
struct Rows {
    kernel: &'static str,
    w: Address,
    first: usize,
    rows: usize,
}

impl Cuda {
    fn norms_of_rows(&self, rows: &Rows, k: usize, lora: Lora<'_, Buffer>, norms: &ViewMut<'_, Buffer>) -> Result<()> {
        let Rows { kernel, w, first, rows } = *rows;
        let place = |view: View<'_, Buffer>, skip: usize| view.buffer.address_of(view.start + skip);
        let launch = self.launch(kernel).blocks(rows.div_ceil(ROWS), THREADS);
        let launch = launch.shared((THREADS as usize / 32 * ROWS + lora.r * ROWS) * 4).address(w);
        let launch = launch.address(place(lora.a, 0)).address(place(lora.b, first * lora.r));
        launch.address(place(norms.as_view(), first)).int(rows).int(k).int(lora.r).float(lora.scale).run()
    }
}

fn kernel(dtype: DType) -> &'static str {
    if dtype == DType::Bf16 { "dora_norms_bf16" } else { "dora_norms_f32" }
}

impl Dora for Cuda {
    fn dora_norms(
        &self,
        n: usize,
        k: usize,
        w: Matrix<'_, Weight, Buffer>,
        lora: Lora<'_, Buffer>,
        norms: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let call = self.call("dora_norms");
        w.check_rows(call, n, k, |weight| (weight.n, weight.k))?;
        dora::check_norms(call, n, k, lora, norms.as_view())?;
        let view = match w {
            Matrix::Trained(view) => view,
            Matrix::Frozen(weight) => match &weight.data {
                Data::Dense(buffer) => buffer.view(),
                Data::Nf4(matrix) => {
                    let step = self.part_size(k);
                    for first in (0..n).step_by(step) {
                        let rows = step.min(n - first);
                        let part = self.nf4_part(matrix, DType::F32, first..first + rows, 0..k)?;
                        let rows = Rows { kernel: "dora_norms_f32", w: part.address_of(0), first, rows };
                        self.norms_of_rows(&rows, k, lora, &norms)?;
                    }
                    return Ok(());
                }
            },
        };
        let rows =
            Rows { kernel: kernel(view.buffer.dtype()), w: view.buffer.address_of(view.start), first: 0, rows: n };
        self.norms_of_rows(&rows, k, lora, &norms)
    }

    fn dora_forward(
        &self,
        m: usize,
        n: usize,
        u: View<'_, Buffer>,
        magnitude: View<'_, Buffer>,
        norms: View<'_, Buffer>,
        bias: Option<View<'_, Buffer>>,
        y: ViewMut<'_, Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        dora::check_forward(self.call("dora_forward"), m, n, u, magnitude, norms, bias, y.as_view())?;
        let launch = self.launch_activations("dora_scale_f32", "dora_scale_bf16");
        let launch = launch.blocks((m * n).div_ceil(THREADS as usize), THREADS).read(u).read(magnitude).read(norms);
        launch.read_some(bias).write(&y).long(m * n).int(n).flag(accumulate).run()
    }

    fn dora_backward(
        &self,
        m: usize,
        n: usize,
        dy: View<'_, Buffer>,
        u: View<'_, Buffer>,
        magnitude: View<'_, Buffer>,
        norms: View<'_, Buffer>,
        du: ViewMut<'_, Buffer>,
        dmagnitude: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (call, written) = (self.call("dora_backward"), [&du, &dmagnitude].map(|view| view.as_view()));
        dora::check_backward(call, m, n, dy, u, magnitude, norms, written[0], written[1])?;
        self.dora_forward(m, n, dy, magnitude, norms, None, du, false)?;
        let chunks = m.div_ceil(CHUNK);
        let mut parts = self.undefined(DType::F32, chunks * n)?;
        let launch = self.launch_activations("dora_magnitude_f32", "dora_magnitude_bf16");
        let launch = launch.grid([n.div_ceil(32), chunks, 1], THREADS).shared(THREADS as usize * 4);
        launch.read(dy).read(u).write(&parts.view_mut()).int(m).int(n).run()?;
        let launch = self.launch("dora_add_parts_f32").blocks(n.div_ceil(THREADS as usize), THREADS);
        launch.read(parts.view()).read(norms).write(&dmagnitude).int(chunks).int(n).run()
    }
}
