//! `dropout`: the launch of `kernels/dropout.cu`.

use tunesmith_ops::{Dropout, DropoutMask, Result, View, ViewMut};

use crate::Cuda;
use crate::device::Buffer;

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
        mask.check(self.call("dropout"), m, n, row_ids, positions, x, y.as_view())?;
        let groups = m * n.div_ceil(4);
        let launch = self.launch_activations("dropout_f32", "dropout_bf16").blocks(groups.div_ceil(256), 256);
        let launch = launch.read(x).write(&y).read(row_ids).read(positions).long(groups).int(n);
        let launch = launch.bits(mask.key as u32).bits((mask.key >> 32) as u32).bits(mask.threshold());
        launch.float(factor).flag(accumulate).run()
    }
}
