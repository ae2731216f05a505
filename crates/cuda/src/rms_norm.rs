//! `rms_norm`: launches of `kernels/rms_norm.cu`.

use tunesmith_ops::{DType, NormShape, Result, RmsNorm, View, ViewMut};

use crate::elementwise::SUM_THREADS;
use crate::launch::Launch;
use crate::memory::Buffer;
use crate::{Cuda, check};

const THREADS: u32 = 256;

/// Bytes of the packs of a row that one warp keeps in registers.
const WARP_ROW: usize = 4 * 32 * 16;

/// Shared memory of a sum over the block: one number a warp.
const SCRATCH: usize = THREADS as usize / 32 * 4;

impl Cuda {
    /// A launch over rows: of a warp each where a row is short, else of a block each. Names are (f32, bf16).
    fn rows(&self, shape: NormShape, warp: [&'static str; 2], block: [&'static str; 2]) -> Launch<'_> {
        if shape.d * self.dtype.size() <= WARP_ROW {
            self.launch_activations(warp[0], warp[1]).blocks(shape.m.div_ceil(THREADS as usize / 32), THREADS)
        } else {
            self.launch_activations(block[0], block[1]).blocks(shape.m, THREADS).shared(SCRATCH)
        }
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
        let (op, NormShape { m, d, eps, offset }) = ("rms_norm_forward", shape);
        check::read(op, "x", x, self.dtype, m * d)?;
        check::read(op, "scale", scale, DType::F32, d)?;
        check::write(op, "y", &y, self.dtype, m * d)?;
        check::write(op, "rstd", &rstd, DType::F32, m)?;
        let wide = check::wide(d * self.dtype.size(), &[x, scale, y.as_view()]);
        let warp = ["rms_norm_forward_warp_f32", "rms_norm_forward_warp_bf16"];
        let block = ["rms_norm_forward_block_f32", "rms_norm_forward_block_bf16"];
        let launch = self.rows(shape, warp, block).int(m).int(d).float(eps).float(offset);
        launch.read(x).read(scale).write(&y).write(&rstd).flag(wide).run()
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
        let (op, NormShape { m, d, offset, .. }) = ("rms_norm_backward", shape);
        check::read(op, "dy", dy, self.dtype, m * d)?;
        check::read(op, "x", x, self.dtype, m * d)?;
        check::read(op, "scale", scale, DType::F32, d)?;
        check::read(op, "rstd", rstd, DType::F32, m)?;
        check::write(op, "dx", &dx, self.dtype, m * d)?;
        if let Some(dscale) = dscale {
            check::write(op, "dscale", &dscale, DType::F32, d)?;
            self.add_column_sums((m, d), &dscale, |grid, partials| {
                let launch = self.launch_activations("rms_norm_scale_f32", "rms_norm_scale_bf16");
                launch.grid(grid, SUM_THREADS).int(m).int(d).read(dy).read(x).read(rstd).write(partials).run()
            })?;
        }
        let wide = check::wide(d * self.dtype.size(), &[dy, x, scale, dx.as_view()]);
        let warp = ["rms_norm_backward_warp_f32", "rms_norm_backward_warp_bf16"];
        let block = ["rms_norm_backward_block_f32", "rms_norm_backward_block_bf16"];
        let launch = self.rows(shape, warp, block).int(m).int(d).float(offset);
        launch.read(dy).read(x).read(scale).read(rstd).write(&dx).flag(accumulate).flag(wide).run()
    }
}
