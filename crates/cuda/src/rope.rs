//! `rope`: the launch of `kernels/rope.cu`.

use tunesmith_ops::{Result, Rope, RopeShape, Rotation, View, ViewMut};

use crate::device::Buffer;
use crate::{Cuda, packs};

const THREADS: u32 = 128;

impl Rope for Cuda {
    fn rope(
        &self,
        shape: RopeShape,
        x: ViewMut<'_, Buffer>,
        positions: View<'_, Buffer>,
        inv_freq: View<'_, Buffer>,
        attention_scaling: f32,
        rotation: Rotation,
    ) -> Result<()> {
        let RopeShape { t, heads, h, rotary } = shape;
        shape.check(self.call("rope"), x.as_view(), positions, inv_freq)?;
        if rotary == 0 {
            return Ok(());
        }
        let size = self.dtype.size();
        let wide = packs::wide((h * size) | (rotary / 2 * size), &[x.as_view()]);
        let sign = match rotation {
            Rotation::Forward => 1.0,
            Rotation::Backward => -1.0,
        };
        let launch = self.launch_activations("rope_f32", "rope_bf16").blocks(t, THREADS).shared(rotary / 2 * 8);
        let launch = launch.int(heads).int(h).int(rotary).write(&x).read(positions).read(inv_freq);
        launch.float(attention_scaling).float(sign).flag(wide).run()
    }
}
