//! The residual stream past one block: `y = x + drop(m · after(block(before(x))))`, either norm there or not. The sum at its end
//! and the next block's norm before it are one op. What is dropped in training is so as GPT-2's `resid_pdrop` has it: elements of
//! what is added to the stream (Radford et al. 2019), by a mask that is computed where it is needed and never kept.

use tunesmith_ops::{Backend, DType, Memory, Result, View, ViewMut};

use super::norm::Norm;
use super::pass_context::PassContext;
use super::row_dropout::{DropoutAt, RowDropout};
use super::weight::Backward;
use crate::workspace::WorkspaceBuffer;

/// What is between a block and the residual stream.
pub struct Residual<B: Backend> {
    /// On what the block is given.
    pub before: Option<Norm<B>>,
    /// On what the block gives.
    pub after: Option<Norm<B>>,
    /// `m`; none means 1.
    pub multiplier: Option<f32>,
    /// What training passes drop of what is added to the stream.
    pub dropout: DropoutAt,
}

/// What forward keeps.
pub(super) struct Saved<B: Memory> {
    /// What the block gave, where a norm follows it.
    output: WorkspaceBuffer<B>,
    after_rstd: WorkspaceBuffer<B>,
}

impl<B: Memory> Saved<B> {
    pub fn new(backend: &B) -> Self {
        Self { output: WorkspaceBuffer::new(backend), after_rstd: WorkspaceBuffer::of(DType::F32) }
    }
}

/// Buffers that live as long as one block.
pub(super) struct Scratch<B: Memory> {
    /// `before(x)` and its statistics, from where `x` was made to where the block has read it; backward computes them again.
    normed: WorkspaceBuffer<B>,
    rstd: WorkspaceBuffer<B>,
    d_input: WorkspaceBuffer<B>,
    scaled: WorkspaceBuffer<B>,
    d_output: WorkspaceBuffer<B>,
}

impl<B: Memory> Scratch<B> {
    pub fn new(backend: &B) -> Self {
        let buffer = || WorkspaceBuffer::new(backend);
        Self {
            normed: buffer(),
            rstd: WorkspaceBuffer::of(DType::F32),
            d_input: buffer(),
            scaled: buffer(),
            d_output: buffer(),
        }
    }
}

impl<B: Backend> Residual<B> {
    /// True when a norm is trained.
    pub fn is_trained(&self) -> bool {
        [&self.before, &self.after].into_iter().flatten().any(Norm::is_trained)
    }

    /// Its norms.
    pub(super) fn norms_mut(&mut self) -> impl Iterator<Item = &mut Norm<B>> {
        [&mut self.before, &mut self.after].into_iter().flatten()
    }

    /// Writes `y` from `x`, both `[t, d]`; `block` writes its second argument from its first. What the block is given was made
    /// by [`Self::enter`], or by the residual that wrote `x`: `next` is the one that this writes for.
    pub(super) fn forward(
        &self,
        context: &PassContext<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        mut y: ViewMut<'_, B::Buffer>,
        next: Option<&Self>,
        block: impl FnOnce(View<'_, B::Buffer>, ViewMut<'_, B::Buffer>) -> Result<()>,
    ) -> Result<()> {
        let PassContext { backend, parameters, rows, .. } = *context;
        let Scratch { normed, rstd, scaled, .. } = scratch;
        let input = if self.before.is_some() { normed.view(x.len)? } else { x };
        let drop = RowDropout::of(self.dropout, rows);
        let mut added = if drop.is_some() { scaled.write(backend, x.len)? } else { y.reborrow() };
        match &self.after {
            None => block(input, added.reborrow())?,
            Some(norm) => {
                block(input, saved.output.write(backend, x.len)?)?;
                let output = saved.output.view(x.len)?;
                norm.forward(backend, parameters, x.len / norm.d, output, &mut saved.after_rstd, added.reborrow())?;
            }
        }
        if let Some(multiplier) = self.multiplier {
            backend.scale(multiplier, added)?;
        }
        if let Some(drop) = drop {
            drop.apply(backend, 1.0, scaled.view(x.len)?, y.reborrow(), false)?;
        }
        match next.and_then(|next| next.before.as_ref()) {
            None => backend.add(x, y),
            Some(norm) => {
                let normed = normed.write(backend, x.len)?;
                norm.forward_of_sum(backend, parameters, x.len / norm.d, x, y, rstd, normed)
            }
        }
    }

    /// Makes what the block is given from an `x` that no residual wrote.
    pub(super) fn enter(
        &self,
        context: &PassContext<'_, B>,
        x: View<'_, B::Buffer>,
        scratch: &mut Scratch<B>,
    ) -> Result<()> {
        let (Some(norm), Scratch { normed, rstd, .. }) = (&self.before, scratch) else { return Ok(()) };
        let normed = normed.write(context.backend, x.len)?;
        norm.forward(context.backend, context.parameters, x.len / norm.d, x, rstd, normed)
    }

    /// Turns `dy` into `dx` in place. `block` is given the gradient of its output, its input, and, where it is wanted,
    /// where to write the gradient of its input. Without `need_input` `dy` is left unfinished.
    pub(super) fn backward(
        &self,
        context: &PassContext<'_, B>,
        grads: &mut Backward<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &Saved<B>,
        scratch: &mut Scratch<B>,
        dy: ViewMut<'_, B::Buffer>,
        need_input: bool,
        block: impl FnOnce(
            &mut Backward<'_, B>,
            View<'_, B::Buffer>,
            View<'_, B::Buffer>,
            Option<ViewMut<'_, B::Buffer>>,
        ) -> Result<()>,
    ) -> Result<()> {
        let backend = context.backend;
        // The normed rows are cheaper to compute again than to keep.
        self.enter(context, x, scratch)?;
        let Scratch { normed, rstd, d_input, scaled, d_output } = scratch;
        let mut d_block = dy.as_view();
        if let Some(drop) = RowDropout::of(self.dropout, context.rows) {
            let factor = self.multiplier.unwrap_or(1.0);
            drop.apply(backend, factor, d_block, scaled.write(backend, x.len)?, false)?;
            d_block = scaled.view(x.len)?;
        } else if let Some(multiplier) = self.multiplier {
            backend.copy(d_block, scaled.write(backend, x.len)?)?;
            backend.scale(multiplier, scaled.view_mut(x.len)?)?;
            d_block = scaled.view(x.len)?;
        }
        if let Some(norm) = &self.after {
            let (m, output, dx) = (x.len / norm.d, saved.output.view(x.len)?, d_output.write(backend, x.len)?);
            norm.backward(backend, grads, m, d_block, output, &saved.after_rstd, dx, false)?;
            d_block = d_output.view(x.len)?;
        }
        let input = if self.before.is_some() { normed.view(x.len)? } else { x };
        // A norm's own gradient needs that of its output.
        let selected = need_input || self.is_trained();
        let dx = if selected { Some(d_input.write(backend, x.len)?) } else { None };
        block(grads, d_block, input, dx)?;
        match &self.before {
            _ if !selected => Ok(()),
            None => backend.add(d_input.view(x.len)?, dy),
            Some(norm) => {
                let (m, d_normed) = (x.len / norm.d, d_input.view(x.len)?);
                norm.backward(backend, grads, m, d_normed, x, rstd, dy, true)
            }
        }
    }
}
