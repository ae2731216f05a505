//! `router`: launches of `kernels/router.cu`.

use tunesmith_ops::{Result, Router, RouterShape, View, ViewMut};

use crate::device::Buffer;
use crate::{Cuda, packs};

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
        let (call, RouterShape { t, experts: e, top_k: k, normalize }) = (self.call("router_forward"), shape);
        shape.check_forward(call, logits, probabilities.as_view(), chosen.as_view(), weights.as_view())?;
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
        let (call, RouterShape { t, experts: e, top_k: k, normalize }) = (self.call("router_backward"), shape);
        shape.check_backward(call, probabilities, chosen, dweights, dlogits.as_view())?;
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
        let (call, RouterShape { t, experts: e, top_k: k, .. }) = (self.call("router_group"), shape);
        shape.check_group(call, chosen, tokens.as_view(), places.as_view(), starts.as_view())?;
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
        let (call, RouterShape { t, top_k: k, .. }) = (self.call("combine_forward"), shape);
        shape.check_combine(call, d, x, places, weights, y.as_view())?;
        let wide = packs::wide(d * self.dtype.size(), &[x, y.as_view()]);
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
        let (call, RouterShape { t, top_k: k, .. }) = (self.call("combine_backward"), shape);
        shape.check_combine_backward(call, d, dy, x, places, weights, dx.as_view(), dweights.as_view())?;
        let wide = packs::wide(d * self.dtype.size(), &[dy, x, dx.as_view()]);
        let launch = self.launch_activations("combine_backward_f32", "combine_backward_bf16");
        let launch = launch.blocks((t * k).div_ceil(WARPS), THREADS).int(t * k).int(k).int(d).read(dy).read(x);
        launch.read(places).read(weights).write(&dx).write(&dweights).flag(wide).run()
    }
}
