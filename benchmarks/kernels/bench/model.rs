//! Sizes of the models whose ops are timed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Outcome;

/// Sizes of one model.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Model {
    /// Number of layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Size of a head.
    pub head_dim: usize,
    /// Rows of the embedding table.
    pub vocabulary: usize,
}

impl Model {
    /// A model of `benchmarks/shapes.json`.
    pub fn named(name: &str) -> Outcome<Self> {
        let models: BTreeMap<String, Self> =
            serde_json::from_str(include_str!("../../shapes.json")).map_err(|error| error.to_string())?;
        let known = || models.keys().cloned().collect::<Vec<_>>().join(", ");
        models.get(name).copied().ok_or_else(|| format!("[kernels] expected a model of {}, got {name}", known()))
    }

    /// `(out, in)` features of the seven linear layers of a block.
    fn block(&self) -> [(usize, usize); 7] {
        let [query, key, gate, down] = self.linears().map(|(_, out, into)| (out, into));
        [query, key, key, (query.1, query.0), gate, gate, down]
    }

    /// Shapes of an adapter of a rank on all linear layers, A and B of each.
    pub fn adapter(&self, rank: usize) -> Vec<[usize; 2]> {
        let pairs = self.block().map(|(out, into)| [[rank, into], [out, rank]]);
        pairs.concat().repeat(self.layers)
    }

    /// Shapes of all weights, tied to the embedding; a norm is one row.
    pub fn weights(&self) -> Vec<[usize; 2]> {
        let block = self.block().map(|(out, into)| [out, into]);
        let layer = [&block[..], &[[1, self.hidden]; 2]].concat().repeat(self.layers);
        [&[[self.vocabulary, self.hidden], [1, self.hidden]], &layer[..]].concat()
    }

    /// `(out, in)` features of the linear layers that differ: query, key, gate, down.
    pub fn linears(&self) -> [(&'static str, usize, usize); 4] {
        [
            ("q_proj", self.heads * self.head_dim, self.hidden),
            ("k_proj", self.kv_heads * self.head_dim, self.hidden),
            ("gate_proj", self.intermediate, self.hidden),
            ("down_proj", self.hidden, self.intermediate),
        ]
    }
}
