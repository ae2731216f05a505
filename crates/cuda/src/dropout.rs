//! `dropout`: the launch of `kernels/dropout.cu`.

use tunesmith_ops::{DType, Dropout, DropoutMask, Error, Result, View, ViewMut};

use crate::device::Buffer;
use crate::{Cuda, check};

impl Dropout for Cuda {
    fn dropout(
        &self,
        m: usize,
        n: usize,
        mask: DropoutMask,
        row_ids: View<'_, Buffer>,
        positions: View<'_, Buffer>,
        factor: f32,
        x: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        let op = "dropout";
        if !(0.0..1.0).contains(&mask.p) {
            return Err(Error::argument(op, "a share from 0 to below 1", mask.p));
        }
        check::read(op, "row_ids", row_ids, DType::I32, m)?;
        check::read(op, "positions", positions, DType::I32, m)?;
        check::read(op, "x", x, self.dtype, m * n)?;
        check::write(op, "y", &y, self.dtype, m * n)?;
        let groups = m * n.div_ceil(4);
        let launch = self.launch_activations("dropout_f32", "dropout_bf16").blocks(groups.div_ceil(256), 256);
        let launch = launch.read(x).write(&y).read(row_ids).read(positions).long(groups).int(n);
        let launch = launch.bits(mask.key as u32).bits((mask.key >> 32) as u32).bits(mask.threshold());
        launch.float(factor).flag(accumulate).run()
    }
}
