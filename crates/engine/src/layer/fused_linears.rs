//! Linear layers that share an input (queries, keys and values; gate and up), stored separately or fused row-wise, as some
//! checkpoints have them.

use tunesmith_ops::{Backend, Columns, Memory, Result, View, ViewMut};

use super::linear::Linear;
use super::lora::{AdapterScratch, SavedLora};
use super::pass_context::PassContext;
use super::weight::Backward;
use crate::workspace::WorkspaceBuffer;

/// `N` outputs of one input.
pub enum FusedLinears<B: Backend, const N: usize> {
    /// One layer per output.
    Separate([Linear<B>; N]),
    /// One layer for all, and the width of each output.
    Fused(Linear<B>, [usize; N]),
}

/// What the adapters of the layers keep.
pub(super) struct Saved<B: Memory, const N: usize> {
    kept: [SavedLora<B>; N],
}

impl<B: Memory, const N: usize> Saved<B, N> {
    pub fn new(backend: &B) -> Self {
        Self { kept: std::array::from_fn(|_| SavedLora::new(backend)) }
    }
}

/// Buffers that the linear layers of a model share.
pub(super) struct Scratch<B: Memory> {
    fused: WorkspaceBuffer<B>,
    pub adapter: AdapterScratch<B>,
}

impl<B: Memory> Scratch<B> {
    pub fn new(backend: &B) -> Self {
        Self { fused: WorkspaceBuffer::new(backend), adapter: AdapterScratch::new(backend) }
    }
}

impl<B: Backend, const N: usize> FusedLinears<B, N> {
    /// The layers.
    pub fn linears(&self) -> Vec<&Linear<B>> {
        match self {
            Self::Separate(linears) => linears.iter().collect(),
            Self::Fused(linear, _) => vec![linear],
        }
    }

    /// The layers.
    pub fn linears_mut(&mut self) -> Vec<&mut Linear<B>> {
        match self {
            Self::Separate(linears) => linears.iter_mut().collect(),
            Self::Fused(linear, _) => vec![linear],
        }
    }

    /// Width of an output.
    pub fn width(&self, output: usize) -> usize {
        match self {
            Self::Separate(linears) => linears[output].n,
            Self::Fused(_, widths) => widths[output],
        }
    }

    /// The block of columns of each output, and its width, in what the one layer gives.
    fn columns(linear: &Linear<B>, widths: &[usize; N]) -> [(Columns, usize); N] {
        let mut start = 0;
        widths.map(|width| {
            let columns = Columns { stride: linear.n, start };
            start += width;
            (columns, width)
        })
    }

    /// Writes `outputs[i][t, width(i)]` from `x[t, d]`.
    pub(super) fn forward(
        &self,
        context: &PassContext<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B, N>,
        scratch: &mut Scratch<B>,
        outputs: [&mut WorkspaceBuffer<B>; N],
    ) -> Result<()> {
        let (backend, t, rows) = (context.backend, context.rows.count, context.rows);
        let Scratch { fused, adapter } = scratch;
        match self {
            Self::Separate(linears) => {
                for ((linear, kept), out) in linears.iter().zip(&mut saved.kept).zip(outputs) {
                    let out = out.write(backend, t * linear.n)?;
                    linear.forward(backend, context.parameters, rows, x, kept, adapter, out)?;
                }
            }
            Self::Fused(linear, widths) => {
                let whole = fused.write(backend, t * linear.n)?;
                linear.forward(backend, context.parameters, rows, x, &mut saved.kept[0], adapter, whole)?;
                let whole = fused.view(t * linear.n)?;
                for ((from, width), out) in Self::columns(linear, widths).into_iter().zip(outputs) {
                    let to = Columns { stride: width, start: 0 };
                    backend.copy_columns(t, width, whole, from, out.write(backend, t * width)?, to)?;
                }
            }
        }
        Ok(())
    }

    /// Adds the gradients of what is trained, and writes `dx[t, d]` where it is asked for.
    pub(super) fn backward(
        &self,
        context: &PassContext<'_, B>,
        grads: &mut Backward<'_, B>,
        gradients: [&WorkspaceBuffer<B>; N],
        x: View<'_, B::Buffer>,
        saved: &Saved<B, N>,
        scratch: &mut Scratch<B>,
        mut dx: Option<ViewMut<'_, B::Buffer>>,
    ) -> Result<()> {
        let (backend, t, rows) = (context.backend, context.rows.count, context.rows);
        let Scratch { fused, adapter } = scratch;
        match self {
            Self::Separate(linears) => {
                for (i, linear) in linears.iter().enumerate() {
                    let dy = gradients[i].view(t * linear.n)?;
                    let dx = dx.as_mut().map(ViewMut::reborrow);
                    linear.backward(backend, grads, rows, dy, x, &saved.kept[i], adapter, dx, i > 0)?;
                }
                Ok(())
            }
            Self::Fused(linear, widths) => {
                fused.reserve(backend, t * linear.n)?;
                for ((to, width), dy) in Self::columns(linear, widths).into_iter().zip(gradients) {
                    let from = Columns { stride: width, start: 0 };
                    let whole = fused.view_mut(t * linear.n)?;
                    backend.copy_columns(t, width, dy.view(t * width)?, from, whole, to)?;
                }
                let dy = fused.view(t * linear.n)?;
                linear.backward(backend, grads, rows, dy, x, &saved.kept[0], adapter, dx, false)
            }
        }
    }
}
