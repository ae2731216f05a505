//! The token embedding: a table, frozen or trained, with or without an adapter; forward and backward.
//!
//! Letters: `E[v, d]` the table, `A[r, v]` and `B[d, r]` the factors as PEFT names them, `s` their scale.
//!
//! ```text
//! y = multiplier · (E[ids] + s · Aᵀ[ids] Bᵀ)
//! ```
//!
//! Both factors are held transposed, so that the r values of a token lie together: what is left are a gather and a product.

use tunesmith_ops::{Backend, MatmulShape, Matrix, Memory, Result, View, ViewMut};

use super::token_rows::{TokenIds, TokenRows, TokenRowsScratch};
use super::weight::{Backward, Weight};
use crate::optimizer::{ParameterId, Parameters};
use crate::workspace::WorkspaceBuffer;

/// The table of a model, and what an adapter adds to it.
pub struct TokenEmbedding<B: Backend> {
    /// Name of the module in Hugging Face checkpoints.
    pub module: String,
    /// Tokens of the vocabulary.
    pub v: usize,
    /// Columns.
    pub d: usize,
    /// The table `[v, d]`.
    pub table: Weight<B>,
    /// Multiplies what comes out; none means 1.
    pub multiplier: Option<f32>,
    /// The adapter, if there is one. It drops nothing (PEFT).
    pub lora: Option<EmbeddingLora>,
    /// Rows that are trained in place of those of a frozen table.
    pub tokens: Option<TokenRows<B>>,
}

/// An adapter on the embedding.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingLora {
    /// `A[r, v]`, held as `[v, r]`.
    pub a: ParameterId,
    /// `B[d, r]`, held as `[r, d]`.
    pub b: ParameterId,
    /// Rank.
    pub r: usize,
    /// Scale `s`.
    pub scale: f32,
}

/// What an adapter on the embedding works in.
pub struct EmbeddingScratch<B: Memory> {
    /// `s · Aᵀ[ids]`, kept for backward.
    low: WorkspaceBuffer<B>,
    d_low: WorkspaceBuffer<B>,
    tokens: TokenRowsScratch<B>,
}

impl<B: Memory> EmbeddingScratch<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        let buffer = || WorkspaceBuffer::new(backend);
        Self { low: buffer(), d_low: buffer(), tokens: TokenRowsScratch::new(backend) }
    }
}

impl<B: Backend> TokenEmbedding<B> {
    /// True when the table or an adapter is trained.
    pub fn is_trained(&self) -> bool {
        self.lora.is_some() || self.tokens.is_some() || matches!(self.table, Weight::Trained(_))
    }

    /// Writes `y[n, d]` for the `n` tokens of `ids`; keeps what an adapter needs for backward.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn forward(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        TokenIds { host, device: ids }: TokenIds<'_, B>,
        kept: &mut EmbeddingScratch<B>,
        mut y: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let table = |out: ViewMut<'_, B::Buffer>| {
            backend.embedding_forward(self.v, self.d, self.table.matrix(parameters), ids, out)
        };
        match &self.tokens {
            None => table(y.reborrow())?,
            Some(tokens) => {
                tokens.gather(backend, parameters, (host, self.d), &mut kept.tokens, y.reborrow(), table)?;
            }
        }
        if let Some(lora) = self.lora {
            let low = ids.len * lora.r;
            let a = Matrix::Trained(parameters.value(lora.a));
            backend.embedding_forward(self.v, lora.r, a, ids, kept.low.write(backend, low)?)?;
            backend.scale(lora.scale, kept.low.view_mut(low)?)?;
            let b = Matrix::Trained(parameters.value(lora.b));
            // The product `low · Bᵀ`: that of a way back through Bᵀ.
            backend.matmul_backward_input(self.shape(lora, ids.len), kept.low.view(low)?, b, y.reborrow(), true)?;
        }
        self.multiplier.map_or(Ok(()), |factor| backend.scale(factor, y))
    }

    /// Adds the gradients of whatever is trained here. `dy` is changed.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn backward(
        &self,
        backend: &B,
        pass: &mut Backward<'_, B>,
        ids: View<'_, B::Buffer>,
        kept: &mut EmbeddingScratch<B>,
        mut dy: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        if let Some(factor) = self.multiplier {
            backend.scale(factor, dy.reborrow())?;
        }
        let dy = dy.as_view();
        if let Weight::Trained(id) = &self.table {
            backend.embedding_backward(self.v, self.d, dy, ids, pass.gradients.of(*id))?;
        }
        if let Some(tokens) = &self.tokens {
            tokens.gather_backward(backend, pass, (ids.len, self.d), &mut kept.tokens, dy)?;
        }
        let Some(lora) = self.lora else { return Ok(()) };
        let (shape, low) = (self.shape(lora, ids.len), ids.len * lora.r);
        backend.matmul_backward_weight(shape, kept.low.view(low)?, dy, pass.gradients.of(lora.b))?;
        let b = Matrix::Trained(pass.parameters.value(lora.b));
        backend.matmul_forward(shape, dy, b, None, kept.d_low.write(backend, low)?)?;
        backend.scale(lora.scale, kept.d_low.view_mut(low)?)?;
        backend.embedding_backward(self.v, lora.r, kept.d_low.view(low)?, ids, pass.gradients.of(lora.a))
    }

    /// Of the product by `Bᵀ[r, d]` as the matrix of a linear layer from d to r.
    fn shape(&self, lora: EmbeddingLora, m: usize) -> MatmulShape {
        MatmulShape { m, n: lora.r, k: self.d }
    }
}
