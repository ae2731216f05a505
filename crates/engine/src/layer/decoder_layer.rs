//! One decoder layer, forward and backward by hand.
//!
//! Letters: `t` tokens, `d` hidden size, `f` feed-forward size, `hq` = heads · h, `hk` = kv_heads · h, `m` the residual
//! multiplier; each norm is there or not, as the family has it.
//!
//! ```text
//! x' = x  + drop(m · norm(attention(norm(x))))
//! y  = x' + drop(m · norm(feed_forward(norm(x'))))
//! ```

use tunesmith_ops::{Backend, Memory, Result, View, ViewMut};

use super::attention::{self, AttentionBlock};
use super::feed_forward::{self, FeedForward};
use super::fused_linears;
use super::linear::Linear;
use super::mixture::Mixture;
use super::norm::Norm;
use super::pass_context::{CacheAt, PassContext};
use super::residual::{self, Residual};
use super::weight::Backward;
use crate::batch::SelectedTokens;
use crate::workspace::WorkspaceBuffer;

/// One layer's tensors.
pub struct Layer<B: Backend> {
    /// Attention.
    pub attention: AttentionBlock<B>,
    /// The norms around it.
    pub attention_residual: Residual<B>,
    /// The feed-forward block.
    pub feed_forward: FeedForward<B>,
    /// The norms around it.
    pub mlp_residual: Residual<B>,
}

/// What forward keeps for backward besides the layer's input.
pub struct Saved<B: Memory> {
    attention: attention::Saved<B>,
    attention_residual: residual::Saved<B>,
    middle: WorkspaceBuffer<B>,
    feed_forward: feed_forward::Saved<B>,
    mlp_residual: residual::Saved<B>,
}

impl<B: Memory> Saved<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        Self {
            attention: attention::Saved::new(backend),
            attention_residual: residual::Saved::new(backend),
            middle: WorkspaceBuffer::new(backend),
            feed_forward: feed_forward::Saved::new(backend),
            mlp_residual: residual::Saved::new(backend),
        }
    }
}

/// Buffers all layers share; nothing in them outlives a layer.
pub struct Scratch<B: Memory> {
    /// `[t, d]`, where only selected tokens go on: all of them, in forward; the selected ones' gradient, in backward.
    around: WorkspaceBuffer<B>,
    residual: residual::Scratch<B>,
    attention: attention::Scratch<B>,
    feed_forward: feed_forward::Scratch<B>,
    linears: fused_linears::Scratch<B>,
}

impl<B: Memory> Scratch<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        Self {
            around: WorkspaceBuffer::new(backend),
            residual: residual::Scratch::new(backend),
            attention: attention::Scratch::new(backend),
            feed_forward: feed_forward::Scratch::new(backend),
            linears: fused_linears::Scratch::new(backend),
        }
    }
}

/// The modules of a layer.
pub struct LayerTensors<'a, B: Backend> {
    /// Linear layers.
    pub linears: Vec<&'a mut Linear<B>>,
    /// Norms.
    pub norms: Vec<&'a mut Norm<B>>,
    /// Experts, where it has some.
    pub mixture: Option<&'a mut Mixture<B>>,
}

impl<B: Backend> Layer<B> {
    /// True when any tensor of the layer is trained.
    pub fn is_trained(&self) -> bool {
        self.linears().into_iter().any(Linear::is_trained)
            || self.attention.trains_norms()
            || self.feed_forward.is_trained()
            || self.attention_residual.is_trained()
            || self.mlp_residual.is_trained()
    }

    /// The linear layers, in the order of the model.
    pub fn linears(&self) -> Vec<&Linear<B>> {
        self.attention.linears().into_iter().chain(self.feed_forward.linears()).collect()
    }

    /// The linear layers, in the order of the model, and the norms.
    pub fn tensors_mut(&mut self) -> LayerTensors<'_, B> {
        let (mut linears, mut norms) = self.attention.tensors_mut();
        let mixture = match &mut self.feed_forward {
            FeedForward::Mixture(mixture) => Some(&mut **mixture),
            FeedForward::Dense(dense) => {
                linears.extend(dense.linears_mut());
                None
            }
        };
        norms.extend(self.attention_residual.norms_mut().chain(self.mlp_residual.norms_mut()));
        LayerTensors { linears, norms, mixture }
    }

    /// Lets training passes drop elements of what both blocks add to the stream, with probability `p`.
    pub fn set_residual_dropout(&mut self, p: f64) {
        self.attention_residual.dropout.p = p;
        self.mlp_residual.dropout.p = p;
    }

    /// Width `d` of the stream.
    fn width(&self) -> usize {
        self.attention.o.n
    }

    /// Makes what the layer's first block is given from an `x[t, d]` that no layer wrote, or that one wrote for no layer.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn enter(&self, context: &PassContext<'_, B>, x: View<'_, B::Buffer>, scratch: &mut Scratch<B>) -> Result<()> {
        self.attention_residual.enter(context, x, &mut scratch.residual)
    }

    /// Writes `y[t, d]` from `x[t, d]`, for the layer `next` where one follows at once. With a cache, the pass's keys and values
    /// are appended to it and attention reads it. Where only `selected` tokens are left after the attention, `y` is `[m, d]`.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn forward(
        &self,
        context: &PassContext<'_, B>,
        cache: CacheAt<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        y: ViewMut<'_, B::Buffer>,
        next: Option<&Self>,
        selected: Option<&SelectedTokens<B>>,
    ) -> Result<()> {
        let Saved { attention, attention_residual, middle, feed_forward, mlp_residual } = saved;
        let all = if selected.is_some() { &mut scratch.around } else { &mut *middle };
        let second = selected.is_none().then_some(&self.mlp_residual);
        let (residual, out) = (&mut scratch.residual, all.write(context.backend, x.len)?);
        self.attention_residual.forward(context, x, attention_residual, residual, out, second, |x, y| {
            self.attention.forward(context, cache, x, attention, &mut scratch.linears, y)
        })?;
        let context = &context.only(selected);
        if let Some(selected) = selected {
            let (all, chosen) = (scratch.around.view(x.len)?, middle.write(context.backend, y.len)?);
            selected.gather(context.backend, self.width(), all, chosen)?;
            self.mlp_residual.enter(context, middle.view(y.len)?, &mut scratch.residual)?;
        }
        let (middle, next) = (middle.view(y.len)?, next.map(|layer| &layer.attention_residual));
        self.mlp_residual.forward(context, middle, mlp_residual, &mut scratch.residual, y, next, |x, y| {
            self.feed_forward.forward(context, x, feed_forward, &mut scratch.feed_forward, &mut scratch.linears, y)
        })
    }

    /// Turns `dy[t, d]` into `dx[t, d]` in place and adds the gradients of what is trained. Uses up `saved`.
    /// With `need_input` false nothing below is trained: `dx` is left unfinished. Where only `selected` tokens were left after the
    /// attention, `dy` begins with theirs, `[m, d]`.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn backward(
        &self,
        context: &PassContext<'_, B>,
        grads: &mut Backward<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        mut dy: ViewMut<'_, B::Buffer>,
        need_input: bool,
        selected: Option<&SelectedTokens<B>>,
    ) -> Result<()> {
        let Saved { attention, attention_residual, middle, feed_forward, mlp_residual } = saved;
        let after = &context.only(selected);
        let middle = middle.view(after.rows.count * self.width())?;
        let (residual, flow) = (&mut scratch.residual, dy.reborrow().part(0, middle.len)?);
        self.mlp_residual.backward(after, grads, middle, mlp_residual, residual, flow, true, |grads, dy, x, dx| {
            self.feed_forward.backward(
                after,
                grads,
                dy,
                x,
                feed_forward,
                &mut scratch.feed_forward,
                &mut scratch.linears,
                dx,
            )
        })?;
        if let Some(selected) = selected {
            let chosen = scratch.around.write(context.backend, middle.len)?;
            context.backend.copy(dy.as_view().part(0, middle.len)?, chosen)?;
            selected.scatter(context.backend, self.width(), scratch.around.view(middle.len)?, dy.reborrow())?;
        }
        let residual = &mut scratch.residual;
        self.attention_residual.backward(
            context,
            grads,
            x,
            attention_residual,
            residual,
            dy,
            need_input,
            |grads, dy, x, dx| {
                self.attention.backward(
                    context,
                    grads,
                    dy,
                    x,
                    attention,
                    &mut scratch.attention,
                    &mut scratch.linears,
                    dx,
                )
            },
        )
    }
}
