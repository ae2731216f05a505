//! Which modules an adapter sits on, and its first values.

use tunesmith_ops::{Code, Error, Result};

use crate::rng::{Philox, Purpose};

/// Which linear layers are adapted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Every linear layer but the output head (PEFT's `all-linear`).
    AllLinear,
    /// Module names, or their endings at a dot (PEFT's list form): `q_proj`, `self_attn.q_proj`, a full path.
    Suffixes(Vec<String>),
}

/// A new adapter, by the names of PEFT's `LoraConfig`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraOptions {
    /// Rank.
    pub r: usize,
    /// Scale numerator.
    pub lora_alpha: f64,
    /// Modules.
    pub target_modules: Targets,
    /// Scale by √r in place of r.
    pub use_rslora: bool,
}

impl LoraOptions {
    /// `alpha / r`, or `alpha / √r` for rank-stabilised LoRA (Kalajdzievski 2023, arXiv:2312.03732).
    pub fn scale(&self) -> f32 {
        let r = self.r as f64;
        (self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }) as f32
    }

    /// The modules of `all` that are adapted, in the given order.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the rank is 0, alpha is not finite, or a target matches no module.
    pub fn resolve<'a>(&self, all: &'a [String], head: &str) -> Result<Vec<&'a str>> {
        if self.r == 0 {
            return Err(Error::argument("lora.r", "a rank of at least 1", 0));
        }
        if !self.lora_alpha.is_finite() {
            return Err(Error::argument("lora.loraAlpha", "a finite number", self.lora_alpha));
        }
        let suffixes = match &self.target_modules {
            Targets::AllLinear => {
                return Ok(all.iter().map(String::as_str).filter(|name| *name != head).collect());
            }
            Targets::Suffixes(suffixes) => suffixes,
        };
        for suffix in suffixes {
            if !all.iter().any(|name| matches(name, suffix)) {
                return Err(no_match(suffix, all));
            }
        }
        let chosen: Vec<&str> =
            all.iter().map(String::as_str).filter(|name| suffixes.iter().any(|suffix| matches(name, suffix))).collect();
        if chosen.is_empty() {
            return Err(no_match("", all));
        }
        Ok(chosen)
    }
}

fn matches(module: &str, suffix: &str) -> bool {
    module.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn no_match(suffix: &str, all: &[String]) -> Error {
    let mut endings: Vec<&str> = all.iter().filter_map(|name| name.rsplit('.').next()).collect();
    endings.sort_unstable();
    endings.dedup();
    Error::new(
        Code::ArgumentInvalid,
        "lora.targetModules",
        format!(
            "expected endings of module names ({}) or \"all-linear\", got {suffix:?}, which matches nothing; \
             choose from these names",
            endings.join(", ")
        ),
    )
}

/// PEFT's first values of A: uniform in ±1/√k (Kaiming with a = √5), keyed by the seed and the adapter's number.
/// B starts at zero, so step 0 equals the base model bit for bit.
pub fn initial_a(seed: u64, adapter: u32, r: usize, k: usize) -> Vec<f32> {
    let rng = Philox::new(seed);
    let bound = 1.0 / (k as f64).sqrt();
    (0..(r * k) as u64)
        .map(|place| ((rng.uniform(Purpose::AdapterInit, adapter, place) * 2.0 - 1.0) * bound) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(targets: Targets) -> LoraOptions {
        LoraOptions { r: 8, lora_alpha: 16.0, target_modules: targets, use_rslora: false }
    }

    fn modules() -> Vec<String> {
        ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj", "lm_head"].map(String::from).to_vec()
    }

    #[test]
    fn all_linear_leaves_the_head_out() {
        let all = modules();
        let chosen = options(Targets::AllLinear).resolve(&all, "lm_head").unwrap();
        assert_eq!(chosen, &all[..2]);
    }

    #[test]
    fn suffixes_match_at_dots_only() {
        let all = modules();
        let pick = |name: &str| {
            options(Targets::Suffixes(vec![name.into()])).resolve(&all, "lm_head").map(|chosen| chosen.len())
        };
        assert_eq!(pick("q_proj"), Ok(1));
        assert_eq!(pick("mlp.up_proj"), Ok(1));
        assert_eq!(pick("lm_head"), Ok(1));
        let message = pick("p_proj").unwrap_err().to_string();
        assert!(message.contains("q_proj") && message.contains("p_proj"), "{message}");
    }

    #[test]
    fn scale_follows_the_rank() {
        let plain = options(Targets::AllLinear);
        assert!((plain.scale() - 2.0).abs() < 1e-7);
        let stabilised = LoraOptions { use_rslora: true, ..plain };
        assert!((f64::from(stabilised.scale()) - 16.0 / 8f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn first_values_stay_in_the_bound_and_differ_between_adapters() {
        let a = initial_a(1, 0, 4, 25);
        assert!(a.iter().all(|value| value.abs() <= 0.2));
        assert!(a.iter().any(|value| value.abs() > 0.15));
        assert_ne!(a, initial_a(1, 1, 4, 25));
        assert_eq!(a, initial_a(1, 0, 4, 25));
    }
}
