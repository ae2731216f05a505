//! A linear layer with an adapter: LoRA or DoRA, with or without dropout, forward and backward.
//!
//! Letters: `x[m, k]` the input, `z` what A is given: `x`, or `x` after dropout while training.
//!
//! ```text
//! LoRA   y = x wᵀ + bias + s · (z Aᵀ Bᵀ + b)          (b: the bias of B, where it has one)
//! DoRA   u = z wᵀ + s · z Aᵀ Bᵀ,  g = magnitude / norms(w + s · B A)
//!        y = (x − z) wᵀ + bias + g ∘ u        (as PEFT: the weight's own part is dropped too)
//! ```

use tunesmith_ops::{Backend, DType, Lora, MatmulShape, Matrix, Memory, Result, View, ViewMut};

use super::row_dropout::{DropoutAt, RowDropout};
use super::weight::{Backward, Vector, Weight};
use crate::batch::Rows;
use crate::optimizer::{ParameterId, Parameters};
use crate::rng::Purpose;
use crate::workspace::WorkspaceBuffer;

/// An adapter on a layer.
#[derive(Debug, Clone, Copy)]
pub struct LoraSlot {
    /// `A[r, k]`.
    pub a: ParameterId,
    /// `B[n, r]`.
    pub b: ParameterId,
    /// `magnitude[n]`: the adapter is a DoRA.
    pub magnitude: Option<ParameterId>,
    /// `[n]`: the bias of B. Never of a DoRA.
    pub bias: Option<ParameterId>,
    /// Rank.
    pub r: usize,
    /// Scale `s`.
    pub scale: f32,
    /// Share of the input's elements that A does not see in training.
    pub dropout: f64,
    /// The layer's own stream of random numbers.
    pub stream: u32,
}

impl LoraSlot {
    fn dropout(&self) -> DropoutAt {
        DropoutAt { p: self.dropout, purpose: Purpose::Dropout, stream: self.stream }
    }
}

/// What forward keeps for backward.
pub struct SavedLora<B: Memory> {
    xa: WorkspaceBuffer<B>,
    u: WorkspaceBuffer<B>,
    norms: WorkspaceBuffer<B>,
}

impl<B: Memory> SavedLora<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        Self {
            xa: WorkspaceBuffer::new(backend),
            u: WorkspaceBuffer::new(backend),
            norms: WorkspaceBuffer::of(DType::F32),
        }
    }
}

/// Buffers that adapted layers share; nothing in them outlives one layer's forward or backward.
pub struct AdapterScratch<B: Memory> {
    dyb: WorkspaceBuffer<B>,
    dropped: WorkspaceBuffer<B>,
    rest: WorkspaceBuffer<B>,
    du: WorkspaceBuffer<B>,
    back: WorkspaceBuffer<B>,
    /// The scaled bias of B, or the gradient of it.
    bias: WorkspaceBuffer<B>,
}

impl<B: Memory> AdapterScratch<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        let buffer = || WorkspaceBuffer::new(backend);
        Self {
            dyb: buffer(),
            dropped: buffer(),
            rest: buffer(),
            du: buffer(),
            back: buffer(),
            bias: WorkspaceBuffer::of(DType::F32),
        }
    }
}

/// An adapted layer in the middle of a pass.
pub(crate) struct Adapted<'a, B: Backend> {
    pub shape: MatmulShape,
    pub weight: &'a Weight<B>,
    pub bias: Option<&'a Vector<B>>,
    pub slot: &'a LoraSlot,
    pub backend: &'a B,
    pub rows: Rows<'a, B>,
}

impl<B: Backend> Adapted<'_, B> {
    fn lora<'p>(&self, parameters: &'p Parameters<B>) -> Lora<'p, B::Buffer> {
        let slot = self.slot;
        Lora { r: slot.r, a: parameters.value(slot.a), b: parameters.value(slot.b), scale: slot.scale }
    }

    pub(crate) fn forward(
        &self,
        parameters: &Parameters<B>,
        x: View<'_, B::Buffer>,
        kept: &mut SavedLora<B>,
        scratch: &mut AdapterScratch<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let (backend, shape) = (self.backend, self.shape);
        let weight = self.weight.matrix(parameters);
        let bias = self.bias.map(|bias| bias.view(parameters));
        let drop = RowDropout::of(self.slot.dropout(), self.rows);
        let AdapterScratch { dropped, rest, bias: sum, .. } = scratch;
        if let Some(drop) = &drop {
            drop.apply(backend, 1.0, x, dropped.write(backend, x.len)?, false)?;
        }
        let dropped = drop.as_ref().map(|_| dropped.view(x.len)).transpose()?;
        let lora = self.lora(parameters);
        let bias = self.bias_with_own(parameters, bias, sum)?;
        let xa = kept.xa.write(backend, shape.m * self.slot.r)?;
        let Some(magnitude) = self.slot.magnitude else {
            return backend.lora_forward(shape, x, dropped, weight, bias, lora, xa, y);
        };
        backend.dora_norms(shape.n, shape.k, weight, lora, kept.norms.write(backend, shape.n)?)?;
        let u = kept.u.write(backend, shape.m * shape.n)?;
        backend.lora_forward(shape, dropped.unwrap_or(x), None, weight, None, lora, xa, u)?;
        let (u, norms) = (kept.u.view(shape.m * shape.n)?, kept.norms.view(shape.n)?);
        let magnitude = parameters.value(magnitude);
        let Some(drop) = drop else {
            return backend.dora_forward(shape.m, shape.n, u, magnitude, norms, bias, y, false);
        };
        let mut y = y;
        backend.copy(x, rest.write(backend, x.len)?)?;
        drop.apply(backend, -1.0, x, rest.view_mut(x.len)?, true)?;
        backend.matmul_forward(shape, rest.view(x.len)?, weight, bias, y.reborrow())?;
        backend.dora_forward(shape.m, shape.n, u, magnitude, norms, None, y, true)
    }

    /// What is added to every row: the layer's bias and `s · b`, in `sum` where there is the latter.
    fn bias_with_own<'v>(
        &self,
        parameters: &'v Parameters<B>,
        bias: Option<View<'v, B::Buffer>>,
        sum: &'v mut WorkspaceBuffer<B>,
    ) -> Result<Option<View<'v, B::Buffer>>> {
        let Some(id) = self.slot.bias else { return Ok(bias) };
        let (backend, n) = (self.backend, self.shape.n);
        backend.copy(parameters.value(id), sum.write(backend, n)?)?;
        backend.scale(self.slot.scale, sum.view_mut(n)?)?;
        if let Some(bias) = bias {
            backend.add(bias, sum.view_mut(n)?)?;
        }
        sum.view(n).map(Some)
    }

    pub(crate) fn backward(
        &self,
        pass: &mut Backward<'_, B>,
        dy: View<'_, B::Buffer>,
        x: View<'_, B::Buffer>,
        kept: &SavedLora<B>,
        scratch: &mut AdapterScratch<B>,
        dx: Option<ViewMut<'_, B::Buffer>>,
        accumulate: bool,
    ) -> Result<()> {
        let (backend, MatmulShape { m, n, .. }) = (self.backend, self.shape);
        if let Some(id) = self.slot.bias {
            backend.clear(scratch.bias.write(backend, n)?)?;
            backend.sum_rows(m, n, dy, scratch.bias.view_mut(n)?)?;
            backend.scale(self.slot.scale, scratch.bias.view_mut(n)?)?;
            backend.add(scratch.bias.view(n)?, pass.gradients.of(id))?;
        }
        let drop = RowDropout::of(self.slot.dropout(), self.rows);
        if let Some(drop) = &drop {
            drop.apply(backend, 1.0, x, scratch.dropped.write(backend, x.len)?, false)?;
        }
        if let Some(magnitude) = self.slot.magnitude {
            backend.dora_backward(
                m,
                n,
                dy,
                kept.u.view(m * n)?,
                pass.parameters.value(magnitude),
                kept.norms.view(n)?,
                scratch.du.write(backend, m * n)?,
                pass.gradients.of(magnitude),
            )?;
        }
        match (drop, self.slot.magnitude.is_some()) {
            (None, dora) => {
                let AdapterScratch { dyb, du, .. } = scratch;
                let dy = if dora { du.view(m * n)? } else { dy };
                self.low_rank(pass, dy, x, kept, dyb, dx, accumulate)
            }
            (Some(drop), false) => {
                let AdapterScratch { dyb, dropped, back, .. } = scratch;
                self.low_rank(pass, dy, dropped.view(x.len)?, kept, dyb, None, false)?;
                let Some(mut dx) = dx else { return Ok(()) };
                let weight = self.weight.matrix(pass.parameters);
                backend.matmul_backward_input(self.shape, dy, weight, dx.reborrow(), accumulate)?;
                let r = self.slot.r;
                let down = MatmulShape { n: r, ..self.shape };
                let a = Matrix::Trained(pass.parameters.value(self.slot.a));
                backend.matmul_backward_input(down, dyb.view(m * r)?, a, back.write(backend, x.len)?, false)?;
                drop.apply(backend, 1.0, back.view(x.len)?, dx, true)
            }
            (Some(drop), true) => self.dropped_dora(pass, &drop, dy, kept, scratch, dx, accumulate),
        }
    }

    /// `dx = dy w + mask ∘ (du (w + s · B A) − dy w)`.
    fn dropped_dora(
        &self,
        pass: &mut Backward<'_, B>,
        drop: &RowDropout<'_, B>,
        dy: View<'_, B::Buffer>,
        kept: &SavedLora<B>,
        scratch: &mut AdapterScratch<B>,
        dx: Option<ViewMut<'_, B::Buffer>>,
        accumulate: bool,
    ) -> Result<()> {
        let (backend, shape) = (self.backend, self.shape);
        let len = shape.m * shape.k;
        let AdapterScratch { dyb, dropped, rest, du, back, .. } = scratch;
        let (du, z) = (du.view(shape.m * shape.n)?, dropped.view(len)?);
        let Some(mut dx) = dx else {
            return self.low_rank(pass, du, z, kept, dyb, None, false);
        };
        self.low_rank(pass, du, z, kept, dyb, Some(back.write(backend, len)?), false)?;
        let weight = self.weight.matrix(pass.parameters);
        backend.matmul_backward_input(shape, dy, weight, rest.write(backend, len)?, false)?;
        if accumulate {
            backend.add(rest.view(len)?, dx.reborrow())?;
        } else {
            backend.copy(rest.view(len)?, dx.reborrow())?;
        }
        drop.apply(backend, 1.0, back.view(len)?, dx.reborrow(), true)?;
        drop.apply(backend, -1.0, rest.view(len)?, dx, true)
    }

    fn low_rank(
        &self,
        pass: &mut Backward<'_, B>,
        dy: View<'_, B::Buffer>,
        z: View<'_, B::Buffer>,
        kept: &SavedLora<B>,
        dyb: &mut WorkspaceBuffer<B>,
        dx: Option<ViewMut<'_, B::Buffer>>,
        accumulate: bool,
    ) -> Result<()> {
        let len = self.rows.count * self.slot.r;
        let (da, db) = pass.gradients.pair(self.slot.a, self.slot.b);
        self.backend.lora_backward(
            self.shape,
            dy,
            z,
            kept.xa.view(len)?,
            self.weight.matrix(pass.parameters),
            self.lora(pass.parameters),
            dyb.write(self.backend, len)?,
            da,
            db,
            dx,
            accumulate,
        )
    }
}
