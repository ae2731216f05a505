//! The residual stream past one block: `y = x + m · after(block(before(x)))`, either norm there or not.

use tunesmith_ops::{Backend, DType, Memory, Result, View, ViewMut};

use super::Site;
use crate::linear::Backward;
use crate::norm::Norm;
use crate::workspace::Slab;

/// What lies between a block and the residual stream.
pub struct Residual<B: Backend> {
    /// On what the block is given.
    pub before: Option<Norm<B>>,
    /// On what the block gives.
    pub after: Option<Norm<B>>,
    /// `m`; none means 1.
    pub multiplier: Option<f32>,
}

/// What forward keeps.
pub(super) struct Saved<B: Memory> {
    before_rstd: Slab<B>,
    /// What the block gave, where a norm follows it.
    output: Slab<B>,
    after_rstd: Slab<B>,
}

impl<B: Memory> Saved<B> {
    pub fn new(backend: &B) -> Self {
        Self { before_rstd: Slab::of(DType::F32), output: Slab::new(backend), after_rstd: Slab::of(DType::F32) }
    }
}

/// Buffers that live as long as one block.
pub(super) struct Scratch<B: Memory> {
    normed: Slab<B>,
    d_input: Slab<B>,
    scaled: Slab<B>,
    d_output: Slab<B>,
}

impl<B: Memory> Scratch<B> {
    pub fn new(backend: &B) -> Self {
        let slab = || Slab::new(backend);
        Self { normed: slab(), d_input: slab(), scaled: slab(), d_output: slab() }
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

    /// Writes `y` from `x`, both `[t, d]`; `block` writes its second argument from its first.
    pub(super) fn forward(
        &self,
        site: &Site<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        mut y: ViewMut<'_, B::Buffer>,
        block: impl FnOnce(View<'_, B::Buffer>, ViewMut<'_, B::Buffer>) -> Result<()>,
    ) -> Result<()> {
        let Site { backend, parameters, .. } = *site;
        let input = self.input(site, x, &mut saved.before_rstd, &mut scratch.normed)?;
        match &self.after {
            None => block(input, y.reborrow())?,
            Some(norm) => {
                block(input, saved.output.write(backend, x.len)?)?;
                let output = saved.output.view(x.len)?;
                norm.forward(backend, parameters, x.len / norm.d, output, &mut saved.after_rstd, y.reborrow())?;
            }
        }
        if let Some(multiplier) = self.multiplier {
            backend.scale(multiplier, y.reborrow())?;
        }
        backend.add(x, y)
    }

    /// What the block is given: `before(x)`, or `x` itself.
    fn input<'a>(
        &self,
        site: &Site<'_, B>,
        x: View<'a, B::Buffer>,
        rstd: &mut Slab<B>,
        normed: &'a mut Slab<B>,
    ) -> Result<View<'a, B::Buffer>> {
        let Some(norm) = &self.before else { return Ok(x) };
        let out = normed.write(site.backend, x.len)?;
        norm.forward(site.backend, site.parameters, x.len / norm.d, x, rstd, out)?;
        normed.view(x.len)
    }

    /// Turns `dy` into `dx` in place. `block` is given the gradient of its output, its input, and, where it is wanted,
    /// where to write the gradient of its input. Without `need_input` `dy` is left unfinished.
    pub(super) fn backward(
        &self,
        site: &Site<'_, B>,
        grads: &mut Backward<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
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
        let backend = site.backend;
        let Scratch { normed, d_input, scaled, d_output } = scratch;
        let mut d_block = dy.as_view();
        if let Some(multiplier) = self.multiplier {
            backend.copy(d_block, scaled.write(backend, x.len)?)?;
            backend.scale(multiplier, scaled.view_mut(x.len)?)?;
            d_block = scaled.view(x.len)?;
        }
        if let Some(norm) = &self.after {
            let (m, output, dx) = (x.len / norm.d, saved.output.view(x.len)?, d_output.write(backend, x.len)?);
            norm.backward(backend, grads, m, d_block, output, &saved.after_rstd, dx, false)?;
            d_block = d_output.view(x.len)?;
        }
        // The normed rows are cheaper to compute again than to keep. A norm's own gradient needs that of its output.
        let input = self.input(site, x, &mut saved.before_rstd, normed)?;
        let wanted = need_input || self.is_trained();
        let dx = if wanted { Some(d_input.write(backend, x.len)?) } else { None };
        block(grads, d_block, input, dx)?;
        match &self.before {
            _ if !wanted => Ok(()),
            None => backend.add(d_input.view(x.len)?, dy),
            Some(norm) => {
                let (m, d_normed) = (x.len / norm.d, d_input.view(x.len)?);
                norm.backward(backend, grads, m, d_normed, x, &saved.before_rstd, dy, true)
            }
        }
    }
}
