//! Sizes of the models whose ops are timed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Outcome;

/// Sizes of one model.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Model {
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
