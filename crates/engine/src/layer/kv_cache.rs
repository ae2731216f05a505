//! Keys and values of sequences being continued.

use tunesmith_ops::{Backend, Memory, Result, View, ViewMut};

use crate::batch::SequenceLayout;
use crate::config::ModelConfig;
use crate::workspace::WorkspaceBuffer;

/// A region of rows for each slot, the same in every layer; slot `i` owns `i · capacity .. (i + 1) · capacity`.
pub struct KvCache<B: Memory> {
    /// Keys and values per layer: `[rows, kv_heads, h]` each.
    layers: Vec<(B::Buffer, B::Buffer)>,
    width: usize,
    capacity: usize,
    lengths: Vec<usize>,
    /// What is on its way from one slot to another.
    passing: WorkspaceBuffer<B>,
}

impl<B: Backend> KvCache<B> {
    /// An empty cache with room for `capacity` tokens in each of a number of slots.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(backend: &B, config: &ModelConfig, slots: usize, capacity: usize) -> Result<Self> {
        let width = config.kv_heads * config.head_dim;
        let (dtype, len) = (backend.activation_dtype(), slots * capacity * width);
        let layers = (0..config.layers)
            .map(|_| Ok((backend.zeros(dtype, len)?, backend.zeros(dtype, len)?)))
            .collect::<Result<_>>()?;
        Ok(Self { layers, width, capacity, lengths: vec![0; slots], passing: WorkspaceBuffer::new(backend) })
    }

    /// Bytes of the keys and values of one token.
    pub fn token_bytes(backend: &B, config: &ModelConfig) -> usize {
        2 * config.layers * config.kv_heads * config.head_dim * backend.activation_dtype().size()
    }

    /// Tokens of a slot that are there already.
    pub fn length(&self, slot: usize) -> usize {
        self.lengths[slot]
    }

    /// The layout of a pass that appends `counts[j]` tokens to `slots[j]`.
    pub fn layout(&self, slots: &[usize], counts: &[usize]) -> SequenceLayout {
        let mut query_starts = vec![0];
        let mut total = 0;
        for count in counts {
            total += count;
            query_starts.push(total);
        }
        SequenceLayout {
            query_starts,
            key_starts: slots.iter().map(|slot| slot * self.capacity).collect(),
            key_lengths: slots.iter().zip(counts).map(|(slot, count)| self.lengths[*slot] + count).collect(),
        }
    }

    /// Copies a pass's new keys and values of one layer after those already there.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a region overflows.
    pub fn append(
        &mut self,
        backend: &B,
        layer: usize,
        layout: &SequenceLayout,
        k: View<'_, B::Buffer>,
        v: View<'_, B::Buffer>,
    ) -> Result<()> {
        let whole = self.elements();
        let (keys, values) = &mut self.layers[layer];
        for (j, starts) in layout.query_starts.windows(2).enumerate() {
            let count = starts[1] - starts[0];
            let row = layout.key_starts[j] + layout.key_lengths[j] - count;
            let (from, to, len) = (starts[0] * self.width, row * self.width, count * self.width);
            backend.copy(k.part(from, len)?, ViewMut::new(keys, 0, whole).part(to, len)?)?;
            backend.copy(v.part(from, len)?, ViewMut::new(values, 0, whole).part(to, len)?)?;
        }
        Ok(())
    }

    /// All keys and values of a layer.
    pub fn layer(&self, layer: usize) -> (View<'_, B::Buffer>, View<'_, B::Buffer>) {
        let (keys, values) = &self.layers[layer];
        let len = self.elements();
        (View::new(keys, 0, len), View::new(values, 0, len))
    }

    /// Lets slot `to` begin with the first `count` tokens of slot `from`, and hold nothing else.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn share(&mut self, backend: &B, from: usize, to: usize, count: usize) -> Result<()> {
        self.lengths[to] = count;
        if from == to || count == 0 {
            return Ok(());
        }
        let (whole, len) = (self.elements(), count * self.width);
        let [source, target] = [from, to].map(|slot| slot * self.capacity * self.width);
        for (keys, values) in &mut self.layers {
            for buffer in [keys, values] {
                let between = self.passing.write(backend, len)?;
                backend.copy(View::new(buffer, 0, whole).part(source, len)?, between)?;
                backend.copy(self.passing.view(len)?, ViewMut::new(buffer, 0, whole).part(target, len)?)?;
            }
        }
        Ok(())
    }

    /// Empties a slot, whose keys are to be made again or are those of an answer that has ended.
    pub fn forget(&mut self, slot: usize) {
        self.lengths[slot] = 0;
    }

    /// Counts the tokens of a finished pass.
    pub fn advance(&mut self, slots: &[usize], counts: &[usize]) {
        for (slot, count) in slots.iter().zip(counts) {
            self.lengths[*slot] += count;
        }
    }

    /// Elements of the keys, and of the values, of a layer.
    fn elements(&self) -> usize {
        self.lengths.len() * self.capacity * self.width
    }
}
