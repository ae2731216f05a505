//! The feed-forward block: dense, or a mixture of experts.

use tunesmith_ops::{Backend, Memory, Result, View, ViewMut};

use super::dense::{self, Dense};
use super::fused_linears;
use super::linear::Linear;
use super::mixture::{self, Mixture};
use super::pass_context::PassContext;
use super::weight::Backward;

/// One layer's feed-forward block.
pub enum FeedForward<B: Backend> {
    /// The same for every token.
    Dense(Box<Dense<B>>),
    /// Some experts for each token.
    Mixture(Box<Mixture<B>>),
}

/// What forward keeps; the half that a layer does not use stays empty.
pub(super) struct Saved<B: Memory> {
    dense: dense::Saved<B>,
    mixture: mixture::Saved<B>,
}

impl<B: Memory> Saved<B> {
    pub fn new(backend: &B) -> Self {
        Self { dense: dense::Saved::new(backend), mixture: mixture::Saved::new(backend) }
    }
}

/// Buffers all layers share.
pub(super) struct Scratch<B: Memory> {
    dense: dense::Scratch<B>,
    mixture: mixture::Scratch<B>,
}

impl<B: Memory> Scratch<B> {
    pub fn new(backend: &B) -> Self {
        Self { dense: dense::Scratch::new(backend), mixture: mixture::Scratch::new(backend) }
    }
}

impl<B: Backend> FeedForward<B> {
    /// Linear layers that may carry an adapter. Experts may not, as in PEFT, where they are tensors and not modules.
    pub(super) fn linears(&self) -> Vec<&Linear<B>> {
        match self {
            Self::Dense(dense) => dense.linears(),
            Self::Mixture(_) => Vec::new(),
        }
    }

    /// True when a tensor besides the linear layers is trained.
    pub(super) fn is_trained(&self) -> bool {
        matches!(self, Self::Mixture(mixture) if mixture.is_trained())
    }

    pub(super) fn forward(
        &self,
        context: &PassContext<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        linears: &mut fused_linears::Scratch<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        match self {
            Self::Dense(dense) => dense.forward(context, x, &mut saved.dense, &mut scratch.dense, linears, y),
            Self::Mixture(mixture) => mixture.forward(context, x, &mut saved.mixture, &mut scratch.mixture, y),
        }
    }

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
        match self {
            Self::Dense(dense) => {
                dense.backward(context, grads, dy, x, &mut saved.dense, &mut scratch.dense, linears, dx)
            }
            Self::Mixture(mixture) => {
                mixture.backward(context, grads, dy, x, &mut saved.mixture, &mut scratch.mixture, dx)
            }
        }
    }
}
