//! One decoder layer, forward and backward by hand.
//!
//! Letters: `t` tokens, `d` hidden size, `f` feed-forward size, `hq` = heads · h, `hk` = kv_heads · h.
//!
//! ```text
//! n = norm(x)        q, k, v = n·Wqᵀ, n·Wkᵀ, n·Wvᵀ     q, k = rope(qk_norm(q)), rope(qk_norm(k))
//! x' = x + attention(q, k, v)·Woᵀ
//! y  = x' + swiglu(norm(x')·Wgᵀ, norm(x')·Wuᵀ)·Wdᵀ
//! ```

use tunesmith_ops::{Activation, AttentionShape, Backend, DType, Memory, Result, RopeShape, Rotation, View, ViewMut};

use crate::adapted::{AdapterScratch, Kept};
use crate::batch::Pass;
use crate::kv_cache::KvCache;
use crate::linear::{Backward, Linear};
use crate::norm::Norm;
use crate::parameters::Parameters;
use crate::workspace::Slab;

/// The seven projections of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Projection {
    Q = 0,
    K = 1,
    V = 2,
    O = 3,
    Gate = 4,
    Up = 5,
    Down = 6,
}

/// RMSNorm over the heads of queries and of keys (arXiv:2302.05442).
pub struct QkNorm<B: Backend> {
    /// Scale of the queries.
    pub q: Norm<B>,
    /// Scale of the keys.
    pub k: Norm<B>,
}

/// Rotary angles, shared by the layers of a model.
pub struct Rotary<B: Memory> {
    /// `[h / 2]`.
    pub inv_freq: B::Buffer,
    /// Multiplies cosine and sine.
    pub attention_scaling: f32,
}

/// One layer's tensors.
pub struct Layer<B: Backend> {
    /// Before attention.
    pub input_norm: Norm<B>,
    /// Before the feed-forward block.
    pub mlp_norm: Norm<B>,
    /// QK-norm, where the family has it.
    pub qk_norm: Option<QkNorm<B>>,
    /// In the order of [`Projection`].
    pub projections: [Linear<B>; 7],
    /// Heads and mask.
    pub attention: AttentionShape,
}

/// What forward keeps for backward, beside the layer's input.
pub struct Saved<B: Memory> {
    q: Slab<B>,
    k: Slab<B>,
    v: Slab<B>,
    raw_q: Slab<B>,
    raw_k: Slab<B>,
    attended: Slab<B>,
    lse: Slab<B>,
    middle: Slab<B>,
    gate: Slab<B>,
    up: Slab<B>,
    input_rstd: Slab<B>,
    mlp_rstd: Slab<B>,
    q_rstd: Slab<B>,
    k_rstd: Slab<B>,
    kept: [Kept<B>; 7],
}

impl<B: Memory> Saved<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        let slab = || Slab::new(backend);
        let statistics = || Slab::of(DType::F32);
        Self {
            q: slab(),
            k: slab(),
            v: slab(),
            raw_q: slab(),
            raw_k: slab(),
            attended: slab(),
            lse: statistics(),
            middle: slab(),
            gate: slab(),
            up: slab(),
            input_rstd: statistics(),
            mlp_rstd: statistics(),
            q_rstd: statistics(),
            k_rstd: statistics(),
            kept: std::array::from_fn(|_| Kept::new(backend)),
        }
    }
}

/// Buffers all layers share; nothing in them outlives a layer.
pub struct Scratch<B: Memory> {
    normed: Slab<B>,
    activated: Slab<B>,
    d_normed: Slab<B>,
    d_activated: Slab<B>,
    d_attended: Slab<B>,
    d_q: Slab<B>,
    d_k: Slab<B>,
    d_v: Slab<B>,
    d_raw: Slab<B>,
    adapter: AdapterScratch<B>,
}

impl<B: Memory> Scratch<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        let slab = || Slab::new(backend);
        Self {
            normed: slab(),
            activated: slab(),
            d_normed: slab(),
            d_activated: slab(),
            d_attended: slab(),
            d_q: slab(),
            d_k: slab(),
            d_v: slab(),
            d_raw: slab(),
            adapter: AdapterScratch::new(backend),
        }
    }
}

/// The cache of a generating pass, and which layer this is.
pub type CacheAt<'a, B> = Option<(&'a mut KvCache<B>, usize)>;

impl<B: Backend> Layer<B> {
    /// True when any tensor of the layer is trained.
    pub fn is_trained(&self) -> bool {
        self.projections.iter().any(Linear::is_trained)
            || matches!(self.input_norm.scale, crate::linear::Vector::Trained(_))
    }

    fn projection(&self, which: Projection) -> &Linear<B> {
        &self.projections[which as usize]
    }

    /// Writes `y[t, d]` from `x[t, d]`. With a cache, the pass's keys and values are appended to it and attention reads it.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn forward(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        rotary: &Rotary<B>,
        pass: &Pass<B>,
        cache: CacheAt<'_, B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        mut y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let t = pass.tokens();
        let d = self.input_norm.d;
        self.queries_keys_values(backend, parameters, rotary, pass, x, saved, scratch)?;
        self.attend(backend, pass, cache, saved)?;

        let o = self.projection(Projection::O);
        saved.middle.reserve(backend, t * d)?;
        o.forward(
            backend,
            parameters,
            pass.rows(),
            saved.attended.view(t * o.k)?,
            &mut saved.kept[Projection::O as usize],
            &mut scratch.adapter,
            saved.middle.view_mut(t * d)?,
        )?;
        backend.add(x, saved.middle.view_mut(t * d)?)?;

        self.feed_forward(backend, parameters, pass, saved, scratch, y.reborrow())?;
        backend.add(saved.middle.view(t * d)?, y)
    }

    fn queries_keys_values(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        rotary: &Rotary<B>,
        pass: &Pass<B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
    ) -> Result<()> {
        let t = pass.tokens();
        let normed_len = t * self.input_norm.d;
        self.input_norm.forward(
            backend,
            parameters,
            t,
            x,
            &mut saved.input_rstd,
            scratch.normed.write(backend, normed_len)?,
        )?;
        let normed = scratch.normed.view(normed_len)?;
        let Saved { q, k, v, raw_q, raw_k, q_rstd, k_rstd, kept, .. } = saved;
        let shape = &self.attention;
        let adapter = &mut scratch.adapter;
        let mut project = |which: Projection, out: &mut Slab<B>| {
            let (linear, kept) = (self.projection(which), &mut kept[which as usize]);
            let out = out.write(backend, t * linear.n)?;
            linear.forward(backend, parameters, pass.rows(), normed, kept, adapter, out)
        };
        project(Projection::V, v)?;
        match &self.qk_norm {
            None => {
                project(Projection::Q, q)?;
                project(Projection::K, k)?;
            }
            Some(norms) => {
                project(Projection::Q, raw_q)?;
                project(Projection::K, raw_k)?;
                for (norm, heads, raw, out, rstd) in [
                    (&norms.q, shape.heads, raw_q, &mut *q, q_rstd),
                    (&norms.k, shape.kv_heads, raw_k, &mut *k, k_rstd),
                ] {
                    let len = t * heads * shape.head_dim;
                    let out = out.write(backend, len)?;
                    norm.forward(backend, parameters, t * heads, raw.view(len)?, rstd, out)?;
                }
            }
        }
        for (heads, tensor) in [(shape.heads, q), (shape.kv_heads, k)] {
            let x = tensor.view_mut(t * heads * shape.head_dim)?;
            rotate(backend, shape, heads, x, rotary, pass, Rotation::Forward)?;
        }
        Ok(())
    }

    fn attend(&self, backend: &B, pass: &Pass<B>, cache: CacheAt<'_, B>, saved: &mut Saved<B>) -> Result<()> {
        let t = pass.tokens();
        let shape = &self.attention;
        let q = saved.q.view(t * shape.heads * shape.head_dim)?;
        let width = t * shape.kv_heads * shape.head_dim;
        let (new_k, new_v) = (saved.k.view(width)?, saved.v.view(width)?);
        let (k, v) = match cache {
            None => (new_k, new_v),
            Some((cache, layer)) => {
                cache.append(backend, layer, &pass.layout, new_k, new_v)?;
                let (k, v) = cache.layer(layer);
                let out = saved.attended.write(backend, q.len)?;
                return backend.attention_forward(shape, &pass.attention, q, k, v, out, None);
            }
        };
        let out = saved.attended.write(backend, q.len)?;
        let lse = saved.lse.write(backend, t * shape.heads)?;
        backend.attention_forward(shape, &pass.attention, q, k, v, out, Some(lse))
    }

    fn feed_forward(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        pass: &Pass<B>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let (t, d) = (pass.tokens(), self.mlp_norm.d);
        self.mlp_norm.forward(
            backend,
            parameters,
            t,
            saved.middle.view(t * d)?,
            &mut saved.mlp_rstd,
            scratch.normed.write(backend, t * d)?,
        )?;
        let normed = scratch.normed.view(t * d)?;
        let Saved { gate, up, kept, .. } = saved;
        let f = self.projection(Projection::Gate).n;
        for (which, out) in [(Projection::Gate, &mut *gate), (Projection::Up, &mut *up)] {
            self.projection(which).forward(
                backend,
                parameters,
                pass.rows(),
                normed,
                &mut kept[which as usize],
                &mut scratch.adapter,
                out.write(backend, t * f)?,
            )?;
        }
        let activated = scratch.activated.write(backend, t * f)?;
        backend.swiglu_forward(Activation::Silu, gate.view(t * f)?, up.view(t * f)?, activated)?;
        self.projection(Projection::Down).forward(
            backend,
            parameters,
            pass.rows(),
            scratch.activated.view(t * f)?,
            &mut kept[Projection::Down as usize],
            &mut scratch.adapter,
            y,
        )
    }

    /// Turns `dy[t, d]` into `dx[t, d]` in place and adds the gradients of what is trained. Uses up `saved`.
    /// With `need_input` false nothing below is trained: `dx` is left unfinished.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn backward(
        &self,
        backend: &B,
        grads: &mut Backward<'_, B>,
        rotary: &Rotary<B>,
        pass: &Pass<B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        mut dy: ViewMut<'_, B::Buffer>,
        need_input: bool,
    ) -> Result<()> {
        self.feed_forward_backward(backend, grads, pass, saved, scratch, dy.reborrow())?;
        self.attention_backward(backend, grads, rotary, pass, saved, scratch, dy.as_view())?;
        self.projections_backward(backend, grads, pass, x, saved, scratch, dy, need_input)
    }

    fn feed_forward_backward(
        &self,
        backend: &B,
        grads: &mut Backward<'_, B>,
        pass: &Pass<B>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        dy: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let t = pass.tokens();
        let (d, f) = (self.mlp_norm.d, self.projection(Projection::Gate).n);
        let Saved { gate, up, kept, middle, mlp_rstd, .. } = saved;
        let activated = scratch.activated.write(backend, t * f)?;
        backend.swiglu_forward(Activation::Silu, gate.view(t * f)?, up.view(t * f)?, activated)?;
        self.projection(Projection::Down).backward(
            backend,
            grads,
            pass.rows(),
            dy.as_view(),
            scratch.activated.view(t * f)?,
            &kept[Projection::Down as usize],
            &mut scratch.adapter,
            Some(scratch.d_activated.write(backend, t * f)?),
            false,
        )?;
        backend.swiglu_backward(
            Activation::Silu,
            scratch.d_activated.view(t * f)?,
            gate.view_mut(t * f)?,
            up.view_mut(t * f)?,
        )?;
        // The normed rows are cheaper to compute again than to keep.
        let normed = scratch.normed.write(backend, t * d)?;
        self.mlp_norm.forward(backend, grads.parameters, t, middle.view(t * d)?, mlp_rstd, normed)?;
        for (which, gradient, accumulate) in [(Projection::Gate, &*gate, false), (Projection::Up, &*up, true)] {
            self.projection(which).backward(
                backend,
                grads,
                pass.rows(),
                gradient.view(t * f)?,
                scratch.normed.view(t * d)?,
                &kept[which as usize],
                &mut scratch.adapter,
                Some(scratch.d_normed.write(backend, t * d)?),
                accumulate,
            )?;
        }
        let d_normed = scratch.d_normed.view(t * d)?;
        let middle = middle.view(t * d)?;
        self.mlp_norm.backward(backend, grads, t, d_normed, middle, mlp_rstd, dy, true)
    }

    fn attention_backward(
        &self,
        backend: &B,
        grads: &mut Backward<'_, B>,
        rotary: &Rotary<B>,
        pass: &Pass<B>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        dy: View<'_, B::Buffer>,
    ) -> Result<()> {
        let t = pass.tokens();
        let shape = &self.attention;
        let (hq, hk) = (t * shape.heads * shape.head_dim, t * shape.kv_heads * shape.head_dim);
        self.projection(Projection::O).backward(
            backend,
            grads,
            pass.rows(),
            dy,
            saved.attended.view(hq)?,
            &saved.kept[Projection::O as usize],
            &mut scratch.adapter,
            Some(scratch.d_attended.write(backend, hq)?),
            false,
        )?;
        backend.attention_backward(
            shape,
            &pass.attention,
            saved.q.view(hq)?,
            saved.k.view(hk)?,
            saved.v.view(hk)?,
            saved.attended.view(hq)?,
            saved.lse.view(t * shape.heads)?,
            scratch.d_attended.view(hq)?,
            scratch.d_q.write(backend, hq)?,
            scratch.d_k.write(backend, hk)?,
            scratch.d_v.write(backend, hk)?,
        )?;
        for (heads, gradient) in [(shape.heads, &mut scratch.d_q), (shape.kv_heads, &mut scratch.d_k)] {
            let x = gradient.view_mut(t * heads * shape.head_dim)?;
            rotate(backend, shape, heads, x, rotary, pass, Rotation::Backward)?;
        }
        let Some(norms) = &self.qk_norm else {
            return Ok(());
        };
        for (norm, heads, raw, rstd, gradient) in [
            (&norms.q, shape.heads, &saved.raw_q, &saved.q_rstd, &mut scratch.d_q),
            (&norms.k, shape.kv_heads, &saved.raw_k, &saved.k_rstd, &mut scratch.d_k),
        ] {
            let len = t * heads * shape.head_dim;
            let out = scratch.d_raw.write(backend, len)?;
            norm.backward(backend, grads, t * heads, gradient.view(len)?, raw.view(len)?, rstd, out, false)?;
            std::mem::swap(gradient, &mut scratch.d_raw);
        }
        Ok(())
    }

    fn projections_backward(
        &self,
        backend: &B,
        grads: &mut Backward<'_, B>,
        pass: &Pass<B>,
        x: View<'_, B::Buffer>,
        saved: &mut Saved<B>,
        scratch: &mut Scratch<B>,
        dy: ViewMut<'_, B::Buffer>,
        need_input: bool,
    ) -> Result<()> {
        let (t, d) = (pass.tokens(), self.input_norm.d);
        let normed = scratch.normed.write(backend, t * d)?;
        self.input_norm.forward(backend, grads.parameters, t, x, &mut saved.input_rstd, normed)?;
        for (which, gradient, accumulate) in [
            (Projection::Q, &scratch.d_q, false),
            (Projection::K, &scratch.d_k, true),
            (Projection::V, &scratch.d_v, true),
        ] {
            let linear = self.projection(which);
            let dx = if need_input { Some(scratch.d_normed.write(backend, t * d)?) } else { None };
            linear.backward(
                backend,
                grads,
                pass.rows(),
                gradient.view(t * linear.n)?,
                scratch.normed.view(t * d)?,
                &saved.kept[which as usize],
                &mut scratch.adapter,
                dx,
                accumulate,
            )?;
        }
        if !need_input {
            return Ok(());
        }
        let d_normed = scratch.d_normed.view(t * d)?;
        self.input_norm.backward(backend, grads, t, d_normed, x, &saved.input_rstd, dy, true)
    }
}

fn rotate<B: Backend>(
    backend: &B,
    shape: &AttentionShape,
    heads: usize,
    x: ViewMut<'_, B::Buffer>,
    rotary: &Rotary<B>,
    pass: &Pass<B>,
    rotation: Rotation,
) -> Result<()> {
    let t = pass.tokens();
    backend.rope(
        RopeShape { t, heads, h: shape.head_dim, rotary: shape.head_dim },
        x,
        View::new(&pass.positions, 0, t),
        View::new(&rotary.inv_freq, 0, shape.head_dim / 2),
        rotary.attention_scaling,
        rotation,
    )
}
