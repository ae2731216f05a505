//! A layer out of a model file: which tensors it has, by the family's names.

use tunesmith_ops::{Backend, Result};

use super::weights::Loader;
use crate::config::{MixtureConfig, ModelConfig};
use crate::families::{self, SharedInput, names};
use crate::layer::{
    AttentionBlock, Dense, DropoutAt, FeedForward, FusedLinears, Layer, Linear, Mixture, QkNorm, Residual,
};
use crate::rng::Purpose;

/// Reads the tensors of layer `index`.
///
/// # Errors
/// `FileInvalid` for a missing tensor or a wrong shape, `NonFinite` for NaN or infinity, `OutOfMemory`.
pub(super) fn layer<B: Backend>(loader: &mut Loader<'_, B>, config: &ModelConfig, index: usize) -> Result<Layer<B>> {
    let prefix = names::layer(index);
    let norms = config.family.norms;
    let mut norm = |name: Option<&str>| {
        name.map(|name| loader.norm(&format!("{prefix}{name}"), config.hidden, config)).transpose()
    };
    let mut residual = |before, after, place| {
        let stream = 2 * index as u32 + place;
        Ok(Residual {
            before: norm(before)?,
            after: norm(after)?,
            multiplier: config.residual_multiplier,
            dropout: DropoutAt { p: 0.0, purpose: Purpose::ResidualDropout, stream },
        })
    };
    Ok(Layer {
        attention_residual: residual(norms.before_attention, norms.after_attention, 0)?,
        mlp_residual: residual(norms.before_mlp, norms.after_mlp, 1)?,
        attention: attention(loader, config, index, &prefix)?,
        feed_forward: match &config.mixture {
            Some(mixture) if mixture.layers[index] => {
                FeedForward::Mixture(Box::new(experts(loader, config, mixture, &prefix)?))
            }
            _ => FeedForward::Dense(Box::new(dense(loader, config, &prefix)?)),
        },
    })
}

fn attention<B: Backend>(
    loader: &mut Loader<'_, B>,
    config: &ModelConfig,
    index: usize,
    prefix: &str,
) -> Result<AttentionBlock<B>> {
    let (d, h) = (config.hidden, config.head_dim);
    let (hq, hk) = (config.heads * h, config.kv_heads * h);
    let [qkv, o, _] = config.biases;
    let names = config.family.projections;
    let rows = match config.family.qk_norm {
        families::QkNorm::Absent => None,
        families::QkNorm::EachHead => Some((h, h)),
        families::QkNorm::Projection => Some((hq, hk)),
    };
    let qk_norm = |loader: &mut Loader<'_, B>, (q, k)| {
        Ok(QkNorm {
            q: loader.norm(&format!("{prefix}{}", names::Q_NORM), q, config)?,
            k: loader.norm(&format!("{prefix}{}", names::K_NORM), k, config)?,
        })
    };
    Ok(AttentionBlock {
        qkv: linears(loader, prefix, names.qkv, [hq, hk, hk], d, qkv)?,
        o: loader.linear(&format!("{prefix}{}", names.o), d, hq, o)?,
        qk_norm: rows.map(|rows| qk_norm(loader, rows)).transpose()?,
        shape: config.attention(index),
        rotation: config.rotation_of[index],
    })
}

fn experts<B: Backend>(
    loader: &mut Loader<'_, B>,
    config: &ModelConfig,
    mixture: &MixtureConfig,
    prefix: &str,
) -> Result<Mixture<B>> {
    let (d, f, count, names) = (config.hidden, mixture.ffn, mixture.experts, mixture.names);
    let base = format!("{prefix}{}", names.experts);
    Ok(Mixture {
        module: base.clone(),
        router: loader.matrix(&format!("{prefix}{}", names.router), count, d)?,
        gate_up: loader.experts(&base, "gate_up_proj", &[("gate_proj", f), ("up_proj", f)], count, d)?,
        down: loader.experts(&base, "down_proj", &[("down_proj", d)], count, f)?,
        gate_up_lora: None,
        down_lora: None,
        activation: config.activation,
        experts: count,
        top_k: mixture.top_k,
        normalize: mixture.normalize,
        d,
        f,
    })
}

fn dense<B: Backend>(loader: &mut Loader<'_, B>, config: &ModelConfig, prefix: &str) -> Result<Dense<B>> {
    let (d, f, bias) = (config.hidden, config.ffn, config.biases[2]);
    let names = config.family.projections;
    Ok(Dense {
        gate_up: linears(loader, prefix, names.gate_up, [f, f], d, bias)?,
        down: loader.linear(&format!("{prefix}{}", names.down), d, f, bias)?,
        activation: config.activation,
    })
}

fn linears<B: Backend, const N: usize>(
    loader: &mut Loader<'_, B>,
    prefix: &str,
    side: SharedInput<N>,
    widths: [usize; N],
    k: usize,
    bias: bool,
) -> Result<FusedLinears<B, N>> {
    match side {
        SharedInput::Fused(name) => {
            let whole = widths.iter().sum();
            Ok(FusedLinears::Fused(loader.linear(&format!("{prefix}{name}"), whole, k, bias)?, widths))
        }
        SharedInput::Separate(names) => {
            let each = names.iter().zip(widths);
            let linears: Vec<Linear<B>> =
                each.map(|(name, n)| loader.linear(&format!("{prefix}{name}"), n, k, bias)).collect::<Result<_>>()?;
            Ok(FusedLinears::Separate(
                linears.try_into().map_err(|_| crate::internal::internal("weights", "a matrix for each name"))?,
            ))
        }
    }
}
