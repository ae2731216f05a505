//! `swiglu`: launches of `kernels/swiglu.cu`.

use tunesmith_ops::{Activation, Result, Swiglu, View, ViewMut, swiglu};

use crate::device::Buffer;
use crate::elementwise::pack_blocks;
use crate::{Cuda, packs};

const THREADS: u32 = 256;

fn is_gelu(activation: Activation) -> bool {
    match activation {
        Activation::Silu => false,
        Activation::GeluTanh => true,
    }
}

impl Swiglu for Cuda {
    fn swiglu_forward(
        &self,
        activation: Activation,
        gate: View<'_, Buffer>,
        up: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        swiglu::check_forward(self.call("swiglu_forward"), gate, up, y.as_view())?;
        let (len, dtype) = (y.len, self.dtype);
        let wide = packs::wide(16, &[gate, up, y.as_view()]);
        let launch = self.launch_activations("swiglu_forward_f32", "swiglu_forward_bf16");
        let launch = launch.blocks(pack_blocks(len, dtype), THREADS).long(len).flag(is_gelu(activation));
        launch.read(gate).read(up).write(&y).flag(wide).run()
    }

    fn swiglu_backward(
        &self,
        activation: Activation,
        dy: View<'_, Buffer>,
        gate: ViewMut<'_, Buffer>,
        up: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        swiglu::check_backward(self.call("swiglu_backward"), dy, gate.as_view(), up.as_view())?;
        let (len, dtype) = (dy.len, self.dtype);
        let wide = packs::wide(16, &[dy, gate.as_view(), up.as_view()]);
        let launch = self.launch_activations("swiglu_backward_f32", "swiglu_backward_bf16");
        let launch = launch.blocks(pack_blocks(len, dtype), THREADS).long(len).flag(is_gelu(activation));
        launch.read(dy).write(&gate).write(&up).flag(wide).run()
    }
}
