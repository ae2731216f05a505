//! `neftune`: the launch of `kernels/neftune.cu`.

use tunesmith_ops::{Neftune, Result, View, ViewMut, neftune};

use crate::Cuda;
use crate::device::Buffer;

impl Neftune for Cuda {
    fn neftune(
        &self,
        m: usize,
        n: usize,
        key: u64,
        row_ids: View<'_, Buffer>,
        positions: View<'_, Buffer>,
        magnitudes: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        neftune::check(self.call("neftune"), m, n, row_ids, positions, magnitudes, y.as_view())?;
        let groups = m * n.div_ceil(4);
        let launch = self.launch_activations("neftune_f32", "neftune_bf16").blocks(groups.div_ceil(256), 256);
        let launch = launch.write(&y).read(row_ids).read(positions).read(magnitudes).long(groups).int(n);
        launch.bits(key as u32).bits((key >> 32) as u32).run()
    }
}
