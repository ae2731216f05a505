//! The attention block.
//!
//! ```text
//! q, k, v = x·Wqᵀ, x·Wkᵀ, x·Wvᵀ     q, k = rope(norm(q)), rope(norm(k))     y = attention(q, k, v)·Woᵀ
//! ```

use tunesmith_ops::{AttentionShape, Backend, DType, Memory, Result, Rotation, View, ViewMut};

use super::fused_linears::{self, FusedLinears};
use super::linear::Linear;
use super::lora::SavedLora;
use super::norm::Norm;
use super::pass_context::{CacheAt, PassContext};
use super::weight::Backward;
use crate::workspace::WorkspaceBuffer;

/// RMSNorm of queries and keys, over rows of the norms' own length: each head, or the whole projection.
pub struct QkNorm<B: Backend> {
    /// Of the queries.
    pub q: Norm<B>,
    /// Of the keys.
    pub k: Norm<B>,
}

/// One layer's attention.
pub struct AttentionBlock<B: Backend> {
    /// Queries, keys, values.
    pub qkv: FusedLinears<B, 3>,
    /// Output.
    pub o: Linear<B>,
    /// QK-norm, where the family has it.
    pub qk_norm: Option<QkNorm<B>>,
    /// Heads and mask.
    pub shape: AttentionShape,
    /// Which of the model's rotations; None: this layer does not rotate.
    pub rotation: Option<usize>,
}

/// What forward keeps.
pub(super) struct Saved<B: Memory> {
    q: WorkspaceBuffer<B>,
    k: WorkspaceBuffer<B>,
    v: WorkspaceBuffer<B>,
    raw_q: WorkspaceBuffer<B>,
    raw_k: WorkspaceBuffer<B>,
    q_rstd: WorkspaceBuffer<B>,
    k_rstd: WorkspaceBuffer<B>,
    attended: WorkspaceBuffer<B>,
    lse: WorkspaceBuffer<B>,
    qkv: fused_linears::Saved<B, 3>,
    o_kept: SavedLora<B>,
}

impl<B: Memory> Saved<B> {
    pub fn new(backend: &B) -> Self {
        let buffer = || WorkspaceBuffer::new(backend);
        let statistics = || WorkspaceBuffer::of(DType::F32);
        Self {
            q: buffer(),
            k: buffer(),
            v: buffer(),
            raw_q: buffer(),
            raw_k: buffer(),
            q_rstd: statistics(),
            k_rstd: statistics(),
            attended: buffer(),
            lse: statistics(),
            qkv: fused_linears::Saved::new(backend),
            o_kept: SavedLora::new(backend),
        }
    }
}

/// Gradients, in buffers that all layers share.
pub(super) struct Scratch<B: Memory> {
    attended: WorkspaceBuffer<B>,
    q: WorkspaceBuffer<B>,
    k: WorkspaceBuffer<B>,
    v: WorkspaceBuffer<B>,
    raw: WorkspaceBuffer<B>,
}

impl<B: Memory> Scratch<B> {
    pub fn new(backend: &B) -> Self {
        let buffer = || WorkspaceBuffer::new(backend);
        Self { attended: buffer(), q: buffer(), k: buffer(), v: buffer(), raw: buffer() }
    }
}

impl<B: Backend> AttentionBlock<B> {
    pub(super) fn linears(&self) -> Vec<&Linear<B>> {
        self.qkv.linears().into_iter().chain([&self.o]).collect()
    }

    /// True when a norm of queries or keys is trained.
    pub(super) fn trains_norms(&self) -> bool {
        self.qk_norm.as_ref().is_some_and(|norms| norms.q.is_trained() || norms.k.is_trained())
    }

    /// The linear layers and the norms.
    pub(super) fn tensors_mut(&mut self) -> (Vec<&mut Linear<B>>, Vec<&mut Norm<B>>) {
        let linears = self.qkv.linears_mut().into_iter().chain([&mut self.o]).collect();
        let norms = self.qk_norm.iter_mut().flat_map(|norms| [&mut norms.q, &mut norms.k]).collect();
        (linears, norms)
    }

    /// Elements of the queries, and of the keys, of `t` tokens.
    fn sizes(&self, t: usize) -> (usize, usize) {
        let AttentionShape { heads, kv_heads, head_dim, .. } = self.shape;
        (t * heads * head_dim, t * kv_heads * head_dim)
    }

    /// Writes `y[t, d]` from `x[t, d]`.
    pub(super) fn forward(
        &self,
        context: &PassContext<'_, B>,
        cache: CacheAt<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        linears: &mut fused_linears::Scratch<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        self.queries_keys_values(context, x, saved, linears)?;
        self.attend(context, cache, saved)?;
        let rows = context.rows;
        let (attended, kept) = (saved.attended.view(rows.count * self.o.k)?, &mut saved.o_kept);
        self.o.forward(context.backend, context.parameters, rows, attended, kept, &mut linears.adapter, y)
    }

    fn queries_keys_values(
        &self,
        context: &PassContext<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        linears: &mut fused_linears::Scratch<B>,
    ) -> Result<()> {
        let (wide, narrow) = self.sizes(context.pass.tokens());
        let Saved { q, k, v, raw_q, raw_k, qkv, q_rstd, k_rstd, .. } = saved;
        match &self.qk_norm {
            None => self.qkv.forward(context, x, qkv, linears, [&mut *q, &mut *k, v])?,
            Some(norms) => {
                self.qkv.forward(context, x, qkv, linears, [&mut *raw_q, &mut *raw_k, v])?;
                for (norm, len, raw, out, rstd) in
                    [(&norms.q, wide, raw_q, &mut *q, q_rstd), (&norms.k, narrow, raw_k, &mut *k, k_rstd)]
                {
                    let out = out.write(context.backend, len)?;
                    norm.forward(context.backend, context.parameters, len / norm.d, raw.view(len)?, rstd, out)?;
                }
            }
        }
        self.rotate(context, q, k, Rotation::Forward)
    }

    fn rotate(
        &self,
        context: &PassContext<'_, B>,
        q: &mut WorkspaceBuffer<B>,
        k: &mut WorkspaceBuffer<B>,
        rotation: Rotation,
    ) -> Result<()> {
        let Some(rotary) = self.rotation.map(|place| &context.rotations[place]) else {
            return Ok(());
        };
        let (wide, narrow) = self.sizes(context.pass.tokens());
        let AttentionShape { heads, kv_heads, head_dim, .. } = self.shape;
        rotary.apply(context.backend, context.pass, (heads, head_dim), q.view_mut(wide)?, rotation)?;
        rotary.apply(context.backend, context.pass, (kv_heads, head_dim), k.view_mut(narrow)?, rotation)
    }

    fn attend(&self, context: &PassContext<'_, B>, cache: CacheAt<'_, B>, saved: &mut Saved<B>) -> Result<()> {
        let PassContext { backend, pass, .. } = *context;
        let (wide, narrow) = self.sizes(pass.tokens());
        let q = saved.q.view(wide)?;
        let (k, v) = (saved.k.view(narrow)?, saved.v.view(narrow)?);
        let out = saved.attended.write(backend, wide)?;
        let Some((cache, layer)) = cache else {
            let lse = saved.lse.write(backend, pass.tokens() * self.shape.heads)?;
            return backend.attention_forward(&self.shape, &pass.attention, q, k, v, out, Some(lse));
        };
        cache.append(backend, layer, &pass.layout, k, v)?;
        let (k, v) = cache.layer(layer);
        backend.attention_forward(&self.shape, &pass.attention, q, k, v, out, None)
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
        let PassContext { backend, pass, .. } = *context;
        let (wide, narrow) = self.sizes(pass.tokens());
        let d_attended = scratch.attended.write(backend, wide)?;
        let (attended, kept) = (saved.attended.view(wide)?, &saved.o_kept);
        let adapter = &mut linears.adapter;
        self.o.backward(backend, grads, context.rows, dy, attended, kept, adapter, Some(d_attended), false)?;
        backend.attention_backward(
            &self.shape,
            &pass.attention,
            saved.q.view(wide)?,
            saved.k.view(narrow)?,
            saved.v.view(narrow)?,
            attended,
            saved.lse.view(pass.tokens() * self.shape.heads)?,
            scratch.attended.view(wide)?,
            scratch.q.write(backend, wide)?,
            scratch.k.write(backend, narrow)?,
            scratch.v.write(backend, narrow)?,
        )?;
        let Scratch { q: d_q, k: d_k, v: d_v, raw: d_raw, .. } = scratch;
        self.rotate(context, d_q, d_k, Rotation::Backward)?;
        if let Some(norms) = &self.qk_norm {
            for (norm, len, raw, rstd, gradient) in [
                (&norms.q, wide, &saved.raw_q, &saved.q_rstd, &mut *d_q),
                (&norms.k, narrow, &saved.raw_k, &saved.k_rstd, &mut *d_k),
            ] {
                let out = d_raw.write(backend, len)?;
                norm.backward(backend, grads, len / norm.d, gradient.view(len)?, raw.view(len)?, rstd, out, false)?;
                std::mem::swap(gradient, d_raw);
            }
        }
        self.qkv.backward(context, grads, [d_q, d_k, d_v], x, &saved.qkv, linears, dx)
    }
}
