//! `router`: launches of `kernels/router.cu`.

use tunesmith_ops::{DType, Result, Router, RouterShape, View, ViewMut};

use crate::device::Buffer;
use crate::{Cuda, check};

const THREADS: u32 = 256;

/// Warps of a block: each has a token, or a slot.
const WARPS: usize = THREADS as usize / 32;

/// Threads of a block that collects an expert's slots, and the shared memory in which its warps count: two words each.
const GROUP_THREADS: u32 = 1024;
const COUNTS: usize = GROUP_THREADS as usize / 32 * 8;

impl Router for Cuda {
    fn router_forward(
        &self,
        shape: RouterShape,
        logits: View<'_, Buffer>,
        probabilities: ViewMut<'_, Buffer>,
        chosen: ViewMut<'_, Buffer>,
        weights: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (op, RouterShape { t, experts: e, top_k: k, normalize }) = ("router_forward", shape);
        shape.check(op)?;
        check::read(op, "logits", logits, self.dtype, t * e)?;
        check::write(op, "probabilities", &probabilities, DType::F32, t * e)?;
        check::write(op, "chosen", &chosen, DType::I32, t * k)?;
        check::write(op, "weights", &weights, DType::F32, t * k)?;
        let launch = self.launch_activations("router_forward_f32", "router_forward_bf16");
        let launch = launch.blocks(t.div_ceil(WARPS), THREADS).int(t).int(e).int(k).flag(normalize);
        launch.read(logits).write(&probabilities).write(&chosen).write(&weights).run()
    }

    fn router_backward(
        &self,
        shape: RouterShape,
        probabilities: View<'_, Buffer>,
        chosen: View<'_, Buffer>,
        dweights: View<'_, Buffer>,
        dlogits: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (op, RouterShape { t, experts: e, top_k: k, normalize }) = ("router_backward", shape);
        shape.check(op)?;
        check::read(op, "probabilities", probabilities, DType::F32, t * e)?;
        check::read(op, "chosen", chosen, DType::I32, t * k)?;
        check::read(op, "dweights", dweights, DType::F32, t * k)?;
        check::write(op, "dlogits", &dlogits, self.dtype, t * e)?;
        let launch = self.launch_activations("router_backward_f32", "router_backward_bf16");
        let launch = launch.blocks(t.div_ceil(WARPS), THREADS).int(t).int(e).int(k).flag(normalize);
        launch.read(probabilities).read(chosen).read(dweights).write(&dlogits).run()
    }

    fn router_group(
        &self,
        shape: RouterShape,
        chosen: View<'_, Buffer>,
        tokens: ViewMut<'_, Buffer>,
        places: ViewMut<'_, Buffer>,
        starts: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (op, RouterShape { t, experts: e, top_k: k, .. }) = ("router_group", shape);
        shape.check(op)?;
        check::read(op, "chosen", chosen, DType::I32, t * k)?;
        check::write(op, "tokens", &tokens, DType::I32, t * k)?;
        check::write(op, "places", &places, DType::I32, t * k)?;
        check::write(op, "starts", &starts, DType::I32, e + 1)?;
        let launch = self.launch("router_group").blocks(e, GROUP_THREADS).shared(COUNTS).int(t * k).int(e).int(k);
        launch.read(chosen).write(&tokens).write(&places).write(&starts).run()
    }

    fn combine_forward(
        &self,
        shape: RouterShape,
        d: usize,
        x: View<'_, Buffer>,
        places: View<'_, Buffer>,
        weights: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (op, RouterShape { t, top_k: k, .. }) = ("combine_forward", shape);
        shape.check(op)?;
        check::read(op, "x", x, self.dtype, t * k * d)?;
        check::read(op, "places", places, DType::I32, t * k)?;
        check::read(op, "weights", weights, DType::F32, t * k)?;
        check::write(op, "y", &y, self.dtype, t * d)?;
        let wide = check::wide(d * self.dtype.size(), &[x, y.as_view()]);
        let packs = d.div_ceil(16 / self.dtype.size());
        let launch = self.launch_activations("combine_forward_f32", "combine_forward_bf16");
        let launch = launch.blocks((t * packs).div_ceil(THREADS as usize), THREADS).int(t).int(k).int(d);
        launch.read(x).read(places).read(weights).write(&y).flag(wide).run()
    }

    fn combine_backward(
        &self,
        shape: RouterShape,
        d: usize,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        places: View<'_, Buffer>,
        weights: View<'_, Buffer>,
        dx: ViewMut<'_, Buffer>,
        dweights: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (op, RouterShape { t, top_k: k, .. }) = ("combine_backward", shape);
        shape.check(op)?;
        check::read(op, "dy", dy, self.dtype, t * d)?;
        check::read(op, "x", x, self.dtype, t * k * d)?;
        check::read(op, "places", places, DType::I32, t * k)?;
        check::read(op, "weights", weights, DType::F32, t * k)?;
        check::write(op, "dx", &dx, self.dtype, t * k * d)?;
        check::write(op, "dweights", &dweights, DType::F32, t * k)?;
        let wide = check::wide(d * self.dtype.size(), &[dy, x, dx.as_view()]);
        let launch = self.launch_activations("combine_backward_f32", "combine_backward_bf16");
        let launch = launch.blocks((t * k).div_ceil(WARPS), THREADS).int(t * k).int(k).int(d).read(dy).read(x);
        launch.read(places).read(weights).write(&dx).write(&dweights).flag(wide).run()
    }
}
