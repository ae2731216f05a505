//! `swiglu`: launches of `kernels/swiglu.cu`.

use tunesmith_ops::{Activation, Result, Swiglu, View, ViewMut};

use crate::device::Buffer;
use crate::elementwise::pack_blocks;
use crate::{Cuda, check};

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
        let (op, len, dtype) = ("swiglu_forward", y.len, self.dtype);
        check::read(op, "gate", gate, dtype, len)?;
        check::read(op, "up", up, dtype, len)?;
        check::write(op, "y", &y, dtype, len)?;
        let wide = check::wide(16, &[gate, up, y.as_view()]);
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
        let (op, len, dtype) = ("swiglu_backward", dy.len, self.dtype);
        check::read(op, "dy", dy, dtype, len)?;
        check::write(op, "gate", &gate, dtype, len)?;
        check::write(op, "up", &up, dtype, len)?;
        let wide = check::wide(16, &[dy, gate.as_view(), up.as_view()]);
        let launch = self.launch_activations("swiglu_backward_f32", "swiglu_backward_bf16");
        let launch = launch.blocks(pack_blocks(len, dtype), THREADS).long(len).flag(is_gelu(activation));
        launch.read(dy).write(&gate).write(&up).flag(wide).run()
    }
}
