//! Keys and values of sequences being continued.

use tunesmith_ops::{Backend, Memory, Result, View, ViewMut};

use crate::batch::SequenceLayout;
use crate::config::ModelConfig;

/// One region of rows per sequence, the same in every layer; sequence `i` owns `starts[i] .. starts[i] + capacity[i]`.
pub struct KvCache<B: Memory> {
    /// Keys and values per layer: `[rows, kv_heads, h]` each.
    layers: Vec<(B::Buffer, B::Buffer)>,
    rows: usize,
    width: usize,
    starts: Vec<usize>,
    lengths: Vec<usize>,
}

impl<B: Backend> KvCache<B> {
    /// An empty cache with room for the given number of tokens per sequence.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(backend: &B, config: &ModelConfig, capacities: &[usize]) -> Result<Self> {
        let mut starts = Vec::with_capacity(capacities.len());
        let mut rows = 0;
        for capacity in capacities {
            starts.push(rows);
            rows += capacity;
        }
        let width = config.kv_heads * config.head_dim;
        let dtype = backend.activation_dtype();
        let layers = (0..config.layers)
            .map(|_| Ok((backend.zeros(dtype, rows * width)?, backend.zeros(dtype, rows * width)?)))
            .collect::<Result<_>>()?;
        Ok(Self { layers, rows, width, lengths: vec![0; starts.len()], starts })
    }

    /// Tokens of a sequence already in the cache.
    pub fn length(&self, sequence: usize) -> usize {
        self.lengths[sequence]
    }

    /// The layout of a pass that appends `counts[j]` tokens to `sequences[j]`.
    pub fn layout(&self, sequences: &[usize], counts: &[usize]) -> SequenceLayout {
        let mut query_starts = vec![0];
        let mut total = 0;
        for count in counts {
            total += count;
            query_starts.push(total);
        }
        SequenceLayout {
            query_starts,
            key_starts: sequences.iter().map(|s| self.starts[*s]).collect(),
            key_lengths: sequences.iter().zip(counts).map(|(s, count)| self.lengths[*s] + count).collect(),
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
        let (keys, values) = &mut self.layers[layer];
        let whole = self.rows * self.width;
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
        let len = self.rows * self.width;
        (View::new(keys, 0, len), View::new(values, 0, len))
    }

    /// Empties the region of a sequence, whose keys are to be made again.
    pub fn forget(&mut self, sequence: usize) {
        self.lengths[sequence] = 0;
    }

    /// Counts the tokens of a finished pass.
    pub fn advance(&mut self, sequences: &[usize], counts: &[usize]) {
        for (sequence, count) in sequences.iter().zip(counts) {
            self.lengths[*sequence] += count;
        }
    }
}
