//! Which layers are mixtures of experts, and of how many.

use serde_json::Value;
use tunesmith_formats::ModelConfig as HfConfig;
use tunesmith_ops::{Code, Result};

use super::refusal::unsupported;
use crate::families::MixtureRules;

/// The mixtures of a model.
#[derive(Debug, Clone)]
pub struct MixtureConfig {
    /// Names of their tensors.
    pub names: MixtureRules,
    /// Experts.
    pub experts: usize,
    /// Experts of each token.
    pub top_k: usize,
    /// Feed-forward size of an expert.
    pub ffn: usize,
    /// Their weights add up to 1.
    pub normalize: bool,
    /// Which layers; the others are dense.
    pub layers: Vec<bool>,
}

impl MixtureConfig {
    /// Reads it from a configuration.
    ///
    /// # Errors
    /// `ConfigInvalid` for a size that is absent or impossible, `ModelUnsupported` where the balance of experts is a loss.
    pub fn read(config: &HfConfig, names: MixtureRules, layers: usize) -> Result<Self> {
        // transformers adds the loss of the routers' balance only then.
        if config.flag("output_router_logits", false)? {
            return Err(unsupported(config, "output_router_logits", "false", true));
        }
        // Two names of one number, of which transformers writes either.
        let experts = match config.optional_size("num_experts")? {
            Some(experts) => experts,
            None => config.size("num_local_experts")?,
        };
        let top_k = config.size("num_experts_per_tok")?;
        if top_k > experts {
            let message = format!("expected num_experts_per_tok of at most {experts}, got {top_k}; correct it");
            return Err(config.refuse(Code::ConfigInvalid, message));
        }
        let step = config.optional_size("decoder_sparse_step")?.unwrap_or(1);
        let dense = dense_layers(config)?;
        Ok(Self {
            names,
            experts,
            top_k,
            ffn: config.size("moe_intermediate_size")?,
            normalize: config.flag("norm_topk_prob", false)?,
            layers: (0..layers).map(|layer| !dense.contains(&layer) && (layer + 1) % step == 0).collect(),
        })
    }
}

fn dense_layers(config: &HfConfig) -> Result<Vec<usize>> {
    let Some(value) = config.value("mlp_only_layers") else {
        return Ok(Vec::new());
    };
    let index = |value: &Value| value.as_u64().map(|index| index as usize);
    let list = value.as_array().and_then(|list| list.iter().map(index).collect());
    list.ok_or_else(|| config.refuse(Code::ConfigInvalid, "expected a list of layers in `mlp_only_layers`; correct it"))
}
