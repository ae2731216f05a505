//! The dense feed-forward block: `y = (act(x·Wgᵀ) ∘ x·Wuᵀ)·Wdᵀ`.

use tunesmith_ops::{Activation, Backend, Memory, Result, View, ViewMut};

use super::fused_linears::{self, FusedLinears};
use super::linear::Linear;
use super::lora::SavedLora;
use super::pass_context::PassContext;
use super::weight::Backward;
use crate::workspace::WorkspaceBuffer;

/// The block of one layer.
pub struct Dense<B: Backend> {
    /// Gate and up.
    pub gate_up: FusedLinears<B, 2>,
    /// Down.
    pub down: Linear<B>,
    /// Function of the gate.
    pub activation: Activation,
}

/// What forward keeps.
pub(super) struct Saved<B: Memory> {
    gate: WorkspaceBuffer<B>,
    up: WorkspaceBuffer<B>,
    gate_up: fused_linears::Saved<B, 2>,
    down_kept: SavedLora<B>,
}

impl<B: Memory> Saved<B> {
    pub fn new(backend: &B) -> Self {
        let buffer = || WorkspaceBuffer::new(backend);
        Self {
            gate: buffer(),
            up: buffer(),
            gate_up: fused_linears::Saved::new(backend),
            down_kept: SavedLora::new(backend),
        }
    }
}

/// Buffers all layers share.
pub(super) struct Scratch<B: Memory> {
    activated: WorkspaceBuffer<B>,
    d_activated: WorkspaceBuffer<B>,
}

impl<B: Memory> Scratch<B> {
    pub fn new(backend: &B) -> Self {
        let buffer = || WorkspaceBuffer::new(backend);
        Self { activated: buffer(), d_activated: buffer() }
    }
}

impl<B: Backend> Dense<B> {
    pub(super) fn linears(&self) -> Vec<&Linear<B>> {
        self.gate_up.linears().into_iter().chain([&self.down]).collect()
    }

    pub(super) fn linears_mut(&mut self) -> Vec<&mut Linear<B>> {
        self.gate_up.linears_mut().into_iter().chain([&mut self.down]).collect()
    }

    /// Writes `y[t, d]` from `x[t, d]`.
    pub(super) fn forward(
        &self,
        context: &PassContext<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        linears: &mut fused_linears::Scratch<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let (backend, t) = (context.backend, context.rows.count);
        let len = t * self.down.k;
        let Saved { gate, up, gate_up, down_kept } = saved;
        self.gate_up.forward(context, x, gate_up, linears, [&mut *gate, &mut *up])?;
        let activated = scratch.activated.write(backend, len)?;
        backend.swiglu_forward(self.activation, gate.view(len)?, up.view(len)?, activated)?;
        let activated = scratch.activated.view(len)?;
        self.down.forward(backend, context.parameters, context.rows, activated, down_kept, &mut linears.adapter, y)
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
        linears: &mut fused_linears::Scratch<B>,
        dx: Option<ViewMut<'_, B::Buffer>>,
    ) -> Result<()> {
        let (backend, t) = (context.backend, context.rows.count);
        let len = t * self.down.k;
        let Saved { gate, up, gate_up, down_kept } = saved;
        // Cheaper to compute again than to keep.
        let activated = scratch.activated.write(backend, len)?;
        backend.swiglu_forward(self.activation, gate.view(len)?, up.view(len)?, activated)?;
        let activated = scratch.activated.view(len)?;
        let d_activated = scratch.d_activated.write(backend, len)?;
        let (rows, adapter) = (context.rows, &mut linears.adapter);
        self.down.backward(backend, grads, rows, dy, activated, down_kept, adapter, Some(d_activated), false)?;
        let d_activated = scratch.d_activated.view(len)?;
        backend.swiglu_backward(self.activation, d_activated, gate.view_mut(len)?, up.view_mut(len)?)?;
        self.gate_up.backward(context, grads, [gate, up], x, gate_up, linears, dx)
    }
}
