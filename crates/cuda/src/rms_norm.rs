//! `rms_norm`: launches of `kernels/rms_norm.cu`.

use tunesmith_ops::{Call, NormShape, Result, RmsNorm, View, ViewMut};

use crate::device::{Buffer, Launch};
use crate::{Cuda, packs};

/// Threads of a block whose rows belong to lanes or warps, and the most of a block that has one row.
const THREADS: usize = 128;
const ROW_THREADS: usize = 512;

/// Packs of 16 bytes of a row that one thread keeps.
const KEPT: usize = 4;

/// Kernels (f32, bf16) by who has a row: eight lanes, a warp, a block; the last takes rows that are not whole aligned packs.
struct Kernels {
    lanes: [&'static str; 2],
    warp: [&'static str; 2],
    block: [&'static str; 2],
    any: [&'static str; 2],
}

const FORWARD: Kernels = Kernels {
    lanes: ["rms_norm_forward_lanes_f32", "rms_norm_forward_lanes_bf16"],
    warp: ["rms_norm_forward_warp_f32", "rms_norm_forward_warp_bf16"],
    block: ["rms_norm_forward_block_f32", "rms_norm_forward_block_bf16"],
    any: ["rms_norm_forward_any_f32", "rms_norm_forward_any_bf16"],
};

const BACKWARD: Kernels = Kernels {
    lanes: ["rms_norm_backward_lanes_f32", "rms_norm_backward_lanes_bf16"],
    warp: ["rms_norm_backward_warp_f32", "rms_norm_backward_warp_bf16"],
    block: ["rms_norm_backward_block_f32", "rms_norm_backward_block_bf16"],
    any: ["rms_norm_backward_any_f32", "rms_norm_backward_any_bf16"],
};

impl Cuda {
    /// A launch over the rows of a norm: the fewest threads a row that keep all of it, up to a whole block.
    fn rows(&self, shape: NormShape, wide: bool, kernels: &Kernels) -> Launch<'_> {
        let packs = shape.d.div_ceil(16 / self.dtype.size());
        let shared = |[f32, bf16]: [&'static str; 2], lanes: usize| {
            self.launch_activations(f32, bf16).blocks(shape.m.div_ceil(THREADS / lanes), THREADS as u32)
        };
        match packs.div_ceil(KEPT) {
            ..=8 if wide => shared(kernels.lanes, 8),
            ..=32 if wide => shared(kernels.warp, 32),
            threads => {
                let [f32, bf16] = if wide { kernels.block } else { kernels.any };
                let threads = threads.next_multiple_of(32).clamp(32, ROW_THREADS);
                // A number a warp, for the sum over the block.
                let scratch = threads / 32 * size_of::<f32>();
                self.launch_activations(f32, bf16).blocks(shape.m, threads as u32).shared(scratch)
            }
        }
    }

    /// Forward, of `sum + x` where there is a `sum`.
    fn norm_forward(
        &self,
        (call, shape): (Call, NormShape),
        x: View<'_, Buffer>,
        sum: Option<ViewMut<'_, Buffer>>,
        scale: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
        rstd: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let NormShape { m, d, eps, offset } = shape;
        let sum = sum.as_ref().map(ViewMut::as_view);
        shape.check_forward(call, x, sum, scale, y.as_view(), rstd.as_view())?;

        let wide = packs::wide(d * self.dtype.size(), &[x, scale, y.as_view(), sum.unwrap_or(x)]);
        let launch = self.rows(shape, wide, &FORWARD).int(m).int(d).float(eps).float(offset);
        launch.read(x).read_some(sum).read(scale).write(&y).write(&rstd).run()
    }
}

impl RmsNorm for Cuda {
    fn rms_norm_forward(
        &self,
        shape: NormShape,
        x: View<'_, Buffer>,
        scale: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
        rstd: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        self.norm_forward((self.call("rms_norm_forward"), shape), x, None, scale, y, rstd)
    }

    fn rms_norm_add_forward(
        &self,
        shape: NormShape,
        x: View<'_, Buffer>,
        sum: ViewMut<'_, Buffer>,
        scale: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
        rstd: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        self.norm_forward((self.call("rms_norm_add_forward"), shape), x, Some(sum), scale, y, rstd)
    }

    fn rms_norm_backward(
        &self,
        shape: NormShape,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        scale: View<'_, Buffer>,
        rstd: View<'_, Buffer>,
        dx: ViewMut<'_, Buffer>,
        accumulate: bool,
        dscale: Option<ViewMut<'_, Buffer>>,
    ) -> Result<()> {
        let (call, NormShape { m, d, offset, .. }) = (self.call("rms_norm_backward"), shape);
        let sums = dscale.as_ref().map(ViewMut::as_view);
        shape.check_backward(call, dy, x, scale, rstd, dx.as_view(), sums)?;
        let row = d * self.dtype.size();
        if let Some(dscale) = dscale {
            let (kernels, wide) = (["rms_norm_scale_f32", "rms_norm_scale_bf16"], packs::wide(row, &[dy, x]));
            self.add_column_sums((m, d), &dscale, kernels, wide, |launch| launch.read(dy).read(x).read(rstd))?;
        }
        let wide = packs::wide(row, &[dy, x, scale, dx.as_view()]);
        let launch = self.rows(shape, wide, &BACKWARD).int(m).int(d).float(offset);
        launch.read(dy).read(x).read(scale).read(rstd).write(&dx).flag(accumulate).run()
    }
}
