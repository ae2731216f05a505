//! Rows of the embedding or the head that are trained while all others stay (PEFT's `TrainableTokensLayer`).
//!
//! Letters: `t` trained rows, `H[t, d]` their values, which stand in place of the model's own; `n` tokens of a pass, `v` of the
//! vocabulary. Nothing here depends on which tokens a batch has but the content of two lists of indices, so that no size does.

use tunesmith_ops::{Backend, Columns, DType, Host, MatmulShape, Matrix, Memory, Result, View, ViewMut};

use super::weight::Backward;
use crate::optimizer::{ParameterId, Parameters};
use crate::workspace::WorkspaceBuffer;

/// The trained rows of one matrix.
pub struct TokenRows<B: Memory> {
    /// `H[t, d]`.
    pub id: ParameterId,
    /// The token of each row.
    indices: Vec<usize>,
    /// 0, 1, … t − 1.
    order: B::Buffer,
}

/// What the rows work in.
pub struct TokenRowsScratch<B: Memory> {
    /// On the embedding: every row that a token can have.
    rows: WorkspaceBuffer<B>,
    /// `[n]` each: where each token's row is among those, and to which of t + 1 its gradient goes.
    places: Option<B::Buffer>,
    d_rows: WorkspaceBuffer<B>,
    /// On the head: their logits `[n, t]`, then the gradient of those, and zeros.
    logits: WorkspaceBuffer<B>,
    zeros: WorkspaceBuffer<B>,
}

impl<B: Memory> TokenRowsScratch<B> {
    /// Empty.
    pub fn new(backend: &B) -> Self {
        Self {
            rows: WorkspaceBuffer::new(backend),
            places: None,
            d_rows: WorkspaceBuffer::of(DType::F32),
            logits: WorkspaceBuffer::new(backend),
            zeros: WorkspaceBuffer::new(backend),
        }
    }
}

/// Tokens of a pass, on the host and on the device.
pub struct TokenIds<'a, B: Memory> {
    /// `[n]`.
    pub host: &'a [i32],
    /// The same.
    pub device: View<'a, B::Buffer>,
}

impl<B: Backend> TokenRows<B> {
    /// The rows of these tokens, whose values are a parameter `[t, d]`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(backend: &B, id: ParameterId, indices: &[usize]) -> Result<Self> {
        let order: Vec<i32> = (0..indices.len() as i32).collect();
        Ok(Self { id, indices: indices.to_vec(), order: backend.upload(Host::I32(&order))? })
    }

    fn values<'a>(&self, parameters: &'a Parameters<B>) -> Matrix<'a, B::Weight, B::Buffer> {
        Matrix::Trained(parameters.value(self.id))
    }

    /// Neighbouring tokens in neighbouring rows: first token, first row, how many.
    fn runs(&self) -> Vec<(usize, usize, usize)> {
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        for (row, token) in self.indices.iter().enumerate() {
            match runs.last_mut() {
                Some((first, _, count)) if *first + *count == *token => *count += 1,
                _ => runs.push((*token, row, 1)),
            }
        }
        runs
    }

    /// Writes `y[n, d]`: the trained rows of the tokens that have one, and what `table` writes of all others.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn gather(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        (ids, d): (&[i32], usize),
        scratch: &mut TokenRowsScratch<B>,
        y: ViewMut<'_, B::Buffer>,
        table: impl FnOnce(ViewMut<'_, B::Buffer>) -> Result<()>,
    ) -> Result<()> {
        let (n, t) = (ids.len(), self.indices.len());
        let row_of: std::collections::HashMap<usize, usize> =
            self.indices.iter().enumerate().map(|(row, token)| (*token, row)).collect();
        let row = |id: &i32| row_of.get(&(*id as usize)).copied();
        let from = ids.iter().enumerate().map(|(place, id)| row(id).map_or(place, |row| n + row) as i32);
        let to = ids.iter().map(|id| row(id).unwrap_or(t) as i32);
        let places: Vec<i32> = from.chain(to).collect();
        let places = scratch.places.insert(backend.upload(Host::I32(&places))?);
        let mut all = scratch.rows.write(backend, (n + t) * d)?;
        table(all.reborrow().part(0, n * d)?)?;
        let own = all.part(n * d, t * d)?;
        backend.embedding_forward(t, d, self.values(parameters), View::new(&self.order, 0, t), own)?;
        let all = Matrix::Trained(scratch.rows.view((n + t) * d)?);
        backend.embedding_forward(n + t, d, all, View::new(places, 0, n), y)
    }

    /// Adds the gradient of the rows that the last [`Self::gather`] has given.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn gather_backward(
        &self,
        backend: &B,
        pass: &mut Backward<'_, B>,
        (n, d): (usize, usize),
        scratch: &mut TokenRowsScratch<B>,
        dy: View<'_, B::Buffer>,
    ) -> Result<()> {
        let t = self.indices.len();
        let places = scratch.places.as_ref().ok_or_else(|| crate::internal::internal("rows", "a forward pass"))?;
        // The last row takes what belongs to none of them.
        let mut d_rows = scratch.d_rows.write(backend, (t + 1) * d)?;
        backend.clear(d_rows.reborrow())?;
        backend.embedding_backward(t + 1, d, dy, View::new(places, n, n), d_rows)?;
        backend.add(scratch.d_rows.view((t + 1) * d)?.part(0, t * d)?, pass.gradients.of(self.id))
    }

    /// Puts the logits of the rows in place of those that `logits[n, v]` has of their tokens. `x[n, d]` is the head's input.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn project(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        (n, v): (usize, usize),
        x: View<'_, B::Buffer>,
        scratch: &mut TokenRowsScratch<B>,
        mut logits: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let t = self.indices.len();
        let own = scratch.logits.write(backend, n * t)?;
        backend.matmul_forward(self.shape(n, x), x, self.values(parameters), None, own)?;
        let own = scratch.logits.view(n * t)?;
        for (token, row, count) in self.runs() {
            let (from, to) = (Columns { stride: t, start: row }, Columns { stride: v, start: token });
            backend.copy_columns(n, count, own, from, logits.reborrow(), to)?;
        }
        Ok(())
    }

    /// Takes the gradient of the rows' logits out of `d_logits[n, v]`, which is then that of the other rows alone.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn take_gradient(
        &self,
        backend: &B,
        (n, v): (usize, usize),
        scratch: &mut TokenRowsScratch<B>,
        mut d_logits: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let t = self.indices.len();
        scratch.logits.reserve(backend, n * t)?;
        backend.clear(scratch.zeros.write(backend, n * t)?)?;
        for (token, row, count) in self.runs() {
            let (of_row, of_token) = (Columns { stride: t, start: row }, Columns { stride: v, start: token });
            let own = scratch.logits.view_mut(n * t)?;
            backend.copy_columns(n, count, d_logits.as_view(), of_token, own, of_row)?;
            let zeros = scratch.zeros.view(n * t)?;
            backend.copy_columns(n, count, zeros, of_row, d_logits.reborrow(), of_token)?;
        }
        Ok(())
    }

    /// Adds the gradient of the rows, and to `dx[n, d]` what comes through them, from what [`Self::take_gradient`] has taken.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn project_backward(
        &self,
        backend: &B,
        pass: &mut Backward<'_, B>,
        n: usize,
        x: View<'_, B::Buffer>,
        scratch: &TokenRowsScratch<B>,
        dx: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        let (shape, own) = (self.shape(n, x), scratch.logits.view(n * self.indices.len())?);
        backend.matmul_backward_weight(shape, own, x, pass.gradients.of(self.id))?;
        backend.matmul_backward_input(shape, own, self.values(pass.parameters), dx, true)
    }

    /// Of the product by the rows.
    fn shape(&self, n: usize, x: View<'_, B::Buffer>) -> MatmulShape {
        MatmulShape { m: n, n: self.indices.len(), k: x.len / n.max(1) }
    }
}
