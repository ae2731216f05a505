//! Frequencies of the rotary embedding: from base and scaling to numbers, in the order of transformers' `modeling_rope_utils`.

use tunesmith_formats::{LongRopeScaling, RopeConfig, RopeScaling, YarnScaling};

/// The rotation of some layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Frequencies {
    /// `[rotary / 2]`.
    pub inv_freq: Vec<f32>,
    /// Another set for long sequences.
    pub long: Option<LongFrequencies>,
    /// Multiplies cosine and sine.
    pub attention_scaling: f32,
}

/// The frequencies of sequences longer than a limit.
#[derive(Debug, Clone, PartialEq)]
pub struct LongFrequencies {
    /// The limit, in tokens.
    pub beyond: usize,
    /// `[rotary / 2]`.
    pub inv_freq: Vec<f32>,
}

impl Frequencies {
    /// For heads of a size. An error says what of the configuration does not fit.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn new(head_dim: usize, rope: &RopeConfig) -> Result<Self, String> {
        let rotary = (head_dim as f64 * rope.partial) as usize;
        if rotary == 0 || !rotary.is_multiple_of(2) {
            return Err(format!(
                "expected partial_rotary_factor to leave an even number of the {head_dim} elements of a head, \
                 got {rotary}; correct it"
            ));
        }
        let bases: Vec<f32> =
            (0..rotary / 2).map(|i| (rope.theta as f32).powf((2 * i) as f32 / rotary as f32)).collect();
        let each = |change: &dyn Fn(f32) -> f32| bases.iter().map(|base| change(1.0 / base)).collect();
        let plain = |inv_freq| Self { inv_freq, long: None, attention_scaling: 1.0 };
        let made = match &rope.scaling {
            RopeScaling::Default => plain(each(&|freq| freq)),
            RopeScaling::Linear { factor } => plain(each(&|freq| freq / *factor as f32)),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let original = *original_max_position_embeddings as f64;
                plain(each(&|freq| {
                    llama3(f64::from(freq), *factor, *low_freq_factor, *high_freq_factor, original) as f32
                }))
            }
            RopeScaling::Yarn(scaling) => yarn(&bases, rope.theta, scaling),
            RopeScaling::LongRope(scaling) => long_rope(&bases, scaling)?,
        };
        if made.inv_freq.iter().all(|freq| freq.is_finite()) && made.attention_scaling.is_finite() {
            return Ok(made);
        }
        Err(format!(
            "expected finite rotary frequencies, got others of rope_theta {} and rope_type {}; correct them",
            rope.theta,
            rope.scaling.name()
        ))
    }
}

/// Llama 3's rule: Meta's `apply_scaling`.
fn llama3(freq: f64, factor: f64, low: f64, high: f64, original: f64) -> f64 {
    let wavelength = std::f64::consts::TAU / freq;
    if wavelength < original / high {
        freq
    } else if wavelength > original / low {
        freq / factor
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * freq / factor + smooth * freq
    }
}

/// YaRN (Peng et al. 2023, arXiv:2309.00071), section 3.
fn yarn(bases: &[f32], theta: f64, scaling: &YarnScaling) -> Frequencies {
    let YarnScaling { factor, mscale, .. } = *scaling;
    let (dim, original) = ((2 * bases.len()) as f64, scaling.original_max_position_embeddings as f64);
    // The dimension that turns so often over the original context.
    let dimension = |turns: f64| dim * (original / (turns * std::f64::consts::TAU)).ln() / (2.0 * theta.ln());
    let (mut low, mut high) = (dimension(scaling.beta_fast), dimension(scaling.beta_slow));
    if scaling.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    (low, high) = (low.max(0.0), high.min(dim - 1.0));
    if high - low == 0.0 {
        high += 0.001;
    }
    let inv_freq = bases
        .iter()
        .enumerate()
        .map(|(i, base)| {
            let ramp = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
            let kept = 1.0 - ramp;
            1.0 / (factor as f32 * base) * (1.0 - kept) + 1.0 / base * kept
        })
        .collect();
    let temperature = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
    let default = || mscale.map_or_else(|| temperature(1.0), |(one, all)| temperature(one) / temperature(all));
    Frequencies { inv_freq, long: None, attention_scaling: scaling.attention_factor.unwrap_or_else(default) as f32 }
}

/// LongRoPE (Ding et al. 2024, arXiv:2402.13753) as Phi-3 uses it.
fn long_rope(bases: &[f32], scaling: &LongRopeScaling) -> Result<Frequencies, String> {
    let (factor, beyond) = (scaling.factor, scaling.original_max_position_embeddings);
    let divided = |key: &str, divisors: &[f64]| {
        if divisors.len() != bases.len() {
            return Err(format!("expected {} numbers in `{key}`, got {}; correct it", bases.len(), divisors.len()));
        }
        Ok(bases.iter().zip(divisors).map(|(base, divisor)| 1.0 / (*divisor as f32 * base)).collect())
    };
    let default = || if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (beyond as f64).ln()).sqrt() };
    Ok(Frequencies {
        inv_freq: divided("short_factor", &scaling.short_factor)?,
        long: Some(LongFrequencies { beyond, inv_freq: divided("long_factor", &scaling.long_factor)? }),
        attention_scaling: scaling.attention_factor.unwrap_or_else(default) as f32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(theta: f64, partial: f64, scaling: RopeScaling) -> RopeConfig {
        RopeConfig { theta, partial, scaling }
    }

    fn long_rope_of(short: usize, long: usize) -> RopeScaling {
        RopeScaling::LongRope(LongRopeScaling {
            short_factor: vec![1.0; short],
            long_factor: vec![2.0; long],
            factor: 4.0,
            attention_factor: None,
            original_max_position_embeddings: 16,
        })
    }

    fn yarn_with(factor: f64, mscale: Option<(f64, f64)>) -> RopeScaling {
        RopeScaling::Yarn(YarnScaling {
            factor,
            attention_factor: None,
            mscale,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate: true,
            original_max_position_embeddings: 4096,
        })
    }

    #[test]
    fn what_does_not_fit_the_head_is_named() {
        let message = |head, rope: RopeConfig| Frequencies::new(head, &rope).unwrap_err();
        assert!(message(8, rope(1e4, 0.4, RopeScaling::Default)).contains("partial_rotary_factor"));
        assert!(message(8, rope(1e4, 0.1, RopeScaling::Default)).contains("partial_rotary_factor"));
        assert!(message(8, rope(1e4, 1.0, long_rope_of(3, 4))).contains("short_factor"));
        assert!(message(8, rope(1e4, 1.0, long_rope_of(4, 5))).contains("long_factor"));
        // A base of 1 has no dimension at which YaRN's ramp could begin.
        assert!(message(8, rope(1.0, 1.0, yarn_with(2.0, None))).contains("finite"));
    }

    #[test]
    fn attention_factors_by_their_formulas() {
        let of = |scaling| Frequencies::new(8, &rope(1e4, 1.0, scaling)).unwrap().attention_scaling;
        let near = |got: f32, want: f64| assert!((f64::from(got) - want).abs() < 1e-6, "{got} {want}");
        near(of(yarn_with(4.0, None)), 0.1 * 4f64.ln() + 1.0);
        near(of(yarn_with(4.0, Some((1.0, 0.5)))), (0.1 * 4f64.ln() + 1.0) / (0.05 * 4f64.ln() + 1.0));
        near(of(yarn_with(1.0, None)), 1.0);
        near(of(long_rope_of(4, 4)), (1.0 + 4f64.ln() / 16f64.ln()).sqrt());
    }

    #[test]
    fn long_sequences_have_frequencies_of_their_own() {
        let made = Frequencies::new(8, &rope(1e4, 1.0, long_rope_of(4, 4))).unwrap();
        let long = made.long.unwrap();
        assert_eq!(long.beyond, 16);
        assert!(made.inv_freq.iter().zip(&long.inv_freq).all(|(short, long)| (short / long - 2.0).abs() < 1e-6));
    }
}
