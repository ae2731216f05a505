//! A mixture of experts in place of the feed-forward block (Shazeer et al. 2017, arXiv:1701.06538).
//!
//! ```text
//! w, chosen = route(x·Wrᵀ)      y = Σ over the chosen e of w_e · (act(x·Wgᵀ_e) ∘ x·Wuᵀ_e)·Wdᵀ_e
//! ```
//!
//! Letters: `t` tokens, `k` experts of each, `s = t·k` slots, `f` feed-forward size of an expert.

use tunesmith_ops::{
    Activation, Backend, Columns, DType, GroupedShape, MatmulShape, Matrix, Memory, Result, RouterShape, Stack, View,
    ViewMut,
};

use super::pass_context::PassContext;
use super::weight::{Backward, Weight};
use crate::optimizer::{ParameterId, Parameters};
use crate::workspace::WorkspaceBuffer;

/// A matrix `[n, k]` of each expert.
pub enum Experts<B: Backend> {
    /// Never trained.
    Frozen(B::Stacked),
    /// One parameter `[experts, n, k]`.
    Trained(ParameterId),
}

impl<B: Backend> Experts<B> {
    fn stack<'a>(&'a self, parameters: &'a Parameters<B>) -> Stack<'a, B::Stacked, B::Buffer> {
        match self {
            Self::Frozen(stacked) => Stack::Frozen(stacked),
            Self::Trained(id) => Stack::Trained(parameters.value(*id)),
        }
    }
}

/// An adapter on one matrix of every expert (PEFT's `ParamWrapper`).
#[derive(Debug, Clone, Copy)]
pub struct ExpertLora {
    /// `A[experts, r, k]`.
    pub a: ParameterId,
    /// `B[experts, n, r]`.
    pub b: ParameterId,
    /// Rank.
    pub r: usize,
    /// Scale `s`.
    pub scale: f32,
}

/// One layer's mixture.
pub struct Mixture<B: Backend> {
    /// Name of the experts in Hugging Face checkpoints.
    pub module: String,
    /// `[experts, d]`.
    pub router: Weight<B>,
    /// `[2·f, d]` each, gate rows first.
    pub gate_up: Experts<B>,
    /// `[d, f]` each.
    pub down: Experts<B>,
    /// What an adapter adds to them.
    pub gate_up_lora: Option<ExpertLora>,
    /// Likewise.
    pub down_lora: Option<ExpertLora>,
    /// Function of the gate.
    pub activation: Activation,
    /// Number of experts.
    pub experts: usize,
    /// Experts of each token.
    pub top_k: usize,
    /// Their weights add up to 1.
    pub normalize: bool,
    /// Hidden size.
    pub d: usize,
    /// Feed-forward size of an expert.
    pub f: usize,
}

/// What forward keeps.
pub(super) struct Saved<B: Memory> {
    probabilities: WorkspaceBuffer<B>,
    chosen: WorkspaceBuffer<B>,
    weights: WorkspaceBuffer<B>,
    tokens: WorkspaceBuffer<B>,
    places: WorkspaceBuffer<B>,
    starts: WorkspaceBuffer<B>,
    gate: WorkspaceBuffer<B>,
    up: WorkspaceBuffer<B>,
    output: WorkspaceBuffer<B>,
    /// `s · A x` of the adapters.
    gate_up_low: WorkspaceBuffer<B>,
    down_low: WorkspaceBuffer<B>,
}

impl<B: Memory> Saved<B> {
    pub fn new(backend: &B) -> Self {
        let (buffer, integers) = (|| WorkspaceBuffer::new(backend), || WorkspaceBuffer::of(DType::I32));
        Self {
            probabilities: WorkspaceBuffer::of(DType::F32),
            chosen: integers(),
            weights: WorkspaceBuffer::of(DType::F32),
            tokens: integers(),
            places: integers(),
            starts: integers(),
            gate: buffer(),
            up: buffer(),
            output: buffer(),
            gate_up_low: buffer(),
            down_low: buffer(),
        }
    }
}

/// Buffers all layers share.
pub(super) struct Scratch<B: Memory> {
    logits: WorkspaceBuffer<B>,
    gathered: WorkspaceBuffer<B>,
    fused: WorkspaceBuffer<B>,
    activated: WorkspaceBuffer<B>,
    d_output: WorkspaceBuffer<B>,
    d_weights: WorkspaceBuffer<B>,
    d_activated: WorkspaceBuffer<B>,
    d_gathered: WorkspaceBuffer<B>,
    adapters: AdapterScratch<B>,
}

/// What adapters of experts work in.
struct AdapterScratch<B: Memory> {
    d_low: WorkspaceBuffer<B>,
    /// What is added to a product, or to a gradient.
    added: WorkspaceBuffer<B>,
}

impl<B: Memory> Scratch<B> {
    pub fn new(backend: &B) -> Self {
        let buffer = || WorkspaceBuffer::new(backend);
        Self {
            logits: buffer(),
            gathered: buffer(),
            fused: buffer(),
            activated: buffer(),
            d_output: buffer(),
            d_weights: WorkspaceBuffer::of(DType::F32),
            d_activated: buffer(),
            d_gathered: buffer(),
            adapters: AdapterScratch { d_low: buffer(), added: buffer() },
        }
    }
}

impl<B: Backend> Mixture<B> {
    /// True when router or experts are trained.
    pub fn is_trained(&self) -> bool {
        matches!(self.router, Weight::Trained(_)) || self.gate_up_lora.is_some() || self.down_lora.is_some()
    }

    fn route(&self, t: usize) -> RouterShape {
        RouterShape { t, experts: self.experts, top_k: self.top_k, normalize: self.normalize }
    }

    fn router_shape(&self, t: usize) -> MatmulShape {
        MatmulShape { m: t, n: self.experts, k: self.d }
    }

    fn gate_up_shape(&self, slots: usize) -> GroupedShape {
        GroupedShape { m: slots, groups: self.experts, n: 2 * self.f, k: self.d }
    }

    fn down_shape(&self, slots: usize) -> GroupedShape {
        GroupedShape { m: slots, groups: self.experts, n: self.d, k: self.f }
    }

    /// The columns of gate and of up in what an expert's first product gives.
    fn halves(&self) -> [Columns; 2] {
        [0, self.f].map(|start| Columns { stride: 2 * self.f, start })
    }

    /// Writes `y[t, d]` from `x[t, d]`.
    pub(super) fn forward(
        &self,
        context: &PassContext<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let (backend, parameters, t) = (context.backend, context.parameters, context.rows.count);
        let slots = t * self.top_k;
        self.choose(context, x, saved, scratch)?;
        let starts = saved.starts.view(self.experts + 1)?;
        self.gather(context, x, &saved.tokens, &mut scratch.gathered)?;
        let (gathered, fused) =
            (scratch.gathered.view(slots * self.d)?, scratch.fused.write(backend, slots * 2 * self.f)?);
        let stack = self.gate_up.stack(parameters);
        backend.grouped_forward(self.gate_up_shape(slots), gathered, stack, starts, fused)?;
        if let Some(lora) = self.gate_up_lora {
            let adapted = AdaptedExperts { lora, shape: self.gate_up_shape(slots), starts };
            let (low, fused) = (&mut saved.gate_up_low, scratch.fused.view_mut(slots * 2 * self.f)?);
            adapted.forward(backend, parameters, gathered, low, &mut scratch.adapters, fused)?;
        }
        let fused = scratch.fused.view(slots * 2 * self.f)?;
        for (from, out) in self.halves().into_iter().zip([&mut saved.gate, &mut saved.up]) {
            let (to, out) = (Columns { stride: self.f, start: 0 }, out.write(backend, slots * self.f)?);
            backend.copy_columns(slots, self.f, fused, from, out, to)?;
        }
        let activated = self.activate(backend, slots, &saved.gate, &saved.up, &mut scratch.activated)?;
        let output = saved.output.write(backend, slots * self.d)?;
        backend.grouped_forward(self.down_shape(slots), activated, self.down.stack(parameters), starts, output)?;
        if let Some(lora) = self.down_lora {
            let adapted = AdaptedExperts { lora, shape: self.down_shape(slots), starts };
            let (low, output) = (&mut saved.down_low, saved.output.view_mut(slots * self.d)?);
            adapted.forward(backend, parameters, activated, low, &mut scratch.adapters, output)?;
        }
        backend.combine_forward(
            self.route(t),
            self.d,
            saved.output.view(slots * self.d)?,
            saved.places.view(slots)?,
            saved.weights.view(slots)?,
            y,
        )
    }

    /// Which experts each token goes to, and the order of their slots.
    fn choose(
        &self,
        context: &PassContext<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
    ) -> Result<()> {
        let (backend, t) = (context.backend, context.rows.count);
        let (wide, slots) = (t * self.experts, t * self.top_k);
        let logits = scratch.logits.write(backend, wide)?;
        backend.matmul_forward(self.router_shape(t), x, self.router.matrix(context.parameters), None, logits)?;
        backend.router_forward(
            self.route(t),
            scratch.logits.view(wide)?,
            saved.probabilities.write(backend, wide)?,
            saved.chosen.write(backend, slots)?,
            saved.weights.write(backend, slots)?,
        )?;
        backend.router_group(
            self.route(t),
            saved.chosen.view(slots)?,
            saved.tokens.write(backend, slots)?,
            saved.places.write(backend, slots)?,
            saved.starts.write(backend, self.experts + 1)?,
        )
    }

    fn gather(
        &self,
        context: &PassContext<'_, B>,
        x: View<'_, B::Buffer>,
        tokens: &WorkspaceBuffer<B>,
        gathered: &mut WorkspaceBuffer<B>,
    ) -> Result<()> {
        let (t, slots) = (context.rows.count, context.rows.count * self.top_k);
        let out = gathered.write(context.backend, slots * self.d)?;
        context.backend.embedding_forward(t, self.d, Matrix::Trained(x), tokens.view(slots)?, out)
    }

    fn activate<'a>(
        &self,
        backend: &B,
        slots: usize,
        gate: &WorkspaceBuffer<B>,
        up: &WorkspaceBuffer<B>,
        activated: &'a mut WorkspaceBuffer<B>,
    ) -> Result<View<'a, B::Buffer>> {
        let len = slots * self.f;
        let out = activated.write(backend, len)?;
        backend.swiglu_forward(self.activation, gate.view(len)?, up.view(len)?, out)?;
        activated.view(len)
    }

    /// Adds the gradients of what is trained, and writes `dx[t, d]` where it is asked for.
    pub(super) fn backward(
        &self,
        context: &PassContext<'_, B>,
        grads: &mut Backward<'_, B>,
        dy: View<'_, B::Buffer>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        dx: Option<ViewMut<'_, B::Buffer>>,
    ) -> Result<()> {
        let (backend, t) = (context.backend, context.rows.count);
        let slots = t * self.top_k;
        backend.combine_backward(
            self.route(t),
            self.d,
            dy,
            saved.output.view(slots * self.d)?,
            saved.places.view(slots)?,
            saved.weights.view(slots)?,
            scratch.d_output.write(backend, slots * self.d)?,
            scratch.d_weights.write(backend, slots)?,
        )?;
        self.experts_backward(context, grads, x, saved, scratch)?;
        let d_logits = scratch.logits.write(backend, t * self.experts)?;
        backend.router_backward(
            self.route(t),
            saved.probabilities.view(t * self.experts)?,
            saved.chosen.view(slots)?,
            scratch.d_weights.view(slots)?,
            d_logits,
        )?;
        let d_logits = scratch.logits.view(t * self.experts)?;
        if let Weight::Trained(id) = &self.router {
            backend.matmul_backward_weight(self.router_shape(t), d_logits, x, grads.gradients.of(*id))?;
        }
        let Some(mut dx) = dx else { return Ok(()) };
        let router = self.router.matrix(grads.parameters);
        backend.matmul_backward_input(self.router_shape(t), d_logits, router, dx.reborrow(), false)?;
        let d_gathered = scratch.d_gathered.view(slots * self.d)?;
        backend.embedding_backward(t, self.d, d_gathered, saved.tokens.view(slots)?, dx)
    }

    /// From the gradient of the experts' outputs to that of the gathered rows.
    fn experts_backward(
        &self,
        context: &PassContext<'_, B>,
        grads: &mut Backward<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
    ) -> Result<()> {
        let backend = context.backend;
        let slots = context.rows.count * self.top_k;
        let (len, starts) = (slots * self.f, saved.starts.view(self.experts + 1)?);
        let d_output = scratch.d_output.view(slots * self.d)?;
        let shape = self.down_shape(slots);
        if let Experts::Trained(id) = &self.down {
            let activated = self.activate(backend, slots, &saved.gate, &saved.up, &mut scratch.activated)?;
            backend.grouped_backward_weight(shape, d_output, activated, starts, grads.gradients.of(*id))?;
        }
        let d_activated = scratch.d_activated.write(backend, len)?;
        backend.grouped_backward_input(shape, d_output, self.down.stack(grads.parameters), starts, d_activated)?;
        if let Some(lora) = self.down_lora {
            let activated = self.activate(backend, slots, &saved.gate, &saved.up, &mut scratch.activated)?;
            let (low, dx) = (saved.down_low.view(slots * lora.r)?, scratch.d_activated.view_mut(len)?);
            let adapted = AdaptedExperts { lora, shape, starts };
            adapted.backward(backend, grads, [d_output, activated, low], &mut scratch.adapters, dx)?;
        }
        let d_activated = scratch.d_activated.view(len)?;
        backend.swiglu_backward(self.activation, d_activated, saved.gate.view_mut(len)?, saved.up.view_mut(len)?)?;
        scratch.fused.reserve(backend, 2 * len)?;
        for (to, gradient) in self.halves().into_iter().zip([&saved.gate, &saved.up]) {
            let (from, fused) = (Columns { stride: self.f, start: 0 }, scratch.fused.view_mut(2 * len)?);
            backend.copy_columns(slots, self.f, gradient.view(len)?, from, fused, to)?;
        }
        let fused = scratch.fused.view(2 * len)?;
        let shape = self.gate_up_shape(slots);
        if let Experts::Trained(id) = &self.gate_up {
            self.gather(context, x, &saved.tokens, &mut scratch.gathered)?;
            let gathered = scratch.gathered.view(slots * self.d)?;
            backend.grouped_backward_weight(shape, fused, gathered, starts, grads.gradients.of(*id))?;
        }
        let d_gathered = scratch.d_gathered.write(backend, slots * self.d)?;
        backend.grouped_backward_input(shape, fused, self.gate_up.stack(grads.parameters), starts, d_gathered)?;
        let Some(lora) = self.gate_up_lora else { return Ok(()) };
        self.gather(context, x, &saved.tokens, &mut scratch.gathered)?;
        let (gathered, low) = (scratch.gathered.view(slots * self.d)?, saved.gate_up_low.view(slots * lora.r)?);
        let dx = scratch.d_gathered.view_mut(slots * self.d)?;
        let adapted = AdaptedExperts { lora, shape, starts };
        adapted.backward(backend, grads, [fused, gathered, low], &mut scratch.adapters, dx)
    }
}

/// An adapter in a product of a pass: `y += s · B_e A_e x` for the expert e of each row.
struct AdaptedExperts<'a, B: Backend> {
    lora: ExpertLora,
    /// Of the product that is adapted.
    shape: GroupedShape,
    starts: View<'a, B::Buffer>,
}

impl<B: Backend> AdaptedExperts<'_, B> {
    /// Of the products by A and by B.
    fn shapes(&self) -> [GroupedShape; 2] {
        let (GroupedShape { n, k, .. }, r) = (self.shape, self.lora.r);
        [GroupedShape { n: r, k, ..self.shape }, GroupedShape { n, k: r, ..self.shape }]
    }

    fn stacks<'p>(&self, parameters: &'p Parameters<B>) -> [Stack<'p, B::Stacked, B::Buffer>; 2] {
        [self.lora.a, self.lora.b].map(|id| Stack::Trained(parameters.value(id)))
    }

    fn forward(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        x: View<'_, B::Buffer>,
        low: &mut WorkspaceBuffer<B>,
        scratch: &mut AdapterScratch<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let ([by_a, by_b], [a, b]) = (self.shapes(), self.stacks(parameters));
        let (m, r) = (self.shape.m, self.lora.r);
        backend.grouped_forward(by_a, x, a, self.starts, low.write(backend, m * r)?)?;
        backend.scale(self.lora.scale, low.view_mut(m * r)?)?;
        backend.grouped_forward(by_b, low.view(m * r)?, b, self.starts, scratch.added.write(backend, y.len)?)?;
        backend.add(scratch.added.view(y.len)?, y)
    }

    /// Adds the gradients of A and B, and to `dx` what comes through them.
    fn backward(
        &self,
        backend: &B,
        grads: &mut Backward<'_, B>,
        [dy, x, low]: [View<'_, B::Buffer>; 3],
        scratch: &mut AdapterScratch<B>,
        dx: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let ([by_a, by_b], [a, b]) = (self.shapes(), self.stacks(grads.parameters));
        backend.grouped_backward_weight(by_b, dy, low, self.starts, grads.gradients.of(self.lora.b))?;
        let d_low = scratch.d_low.write(backend, low.len)?;
        backend.grouped_backward_input(by_b, dy, b, self.starts, d_low)?;
        backend.scale(self.lora.scale, scratch.d_low.view_mut(low.len)?)?;
        let d_low = scratch.d_low.view(low.len)?;
        backend.grouped_backward_weight(by_a, d_low, x, self.starts, grads.gradients.of(self.lora.a))?;
        backend.grouped_backward_input(by_a, d_low, a, self.starts, scratch.added.write(backend, dx.len)?)?;
        backend.add(scratch.added.view(dx.len)?, dx)
    }
}
