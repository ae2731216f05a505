//! What a rotation is: base, rotated part and scaling, and what a family says about them.

/// How the base frequencies are changed for long contexts.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Unchanged.
    Default,
    /// All frequencies divided by `factor` (Chen et al. 2023, position interpolation).
    Linear {
        /// Divisor, at least 1.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, a ramp between.
    Llama3 {
        /// Divisor of the low frequencies, at least 1.
        factor: f64,
        /// Wavelengths above original / this are divided.
        low_freq_factor: f64,
        /// Wavelengths below original / this are kept; above `low_freq_factor`.
        high_freq_factor: f64,
        /// Context length of the original training, in tokens.
        original_max_position_embeddings: usize,
    },
    /// YaRN.
    Yarn(YarnScaling),
    /// LongRoPE.
    LongRope(LongRopeScaling),
}

impl RopeScaling {
    /// Its `rope_type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Linear { .. } => "linear",
            Self::Llama3 { .. } => "llama3",
            Self::Yarn(_) => "yarn",
            Self::LongRope(_) => "longrope",
        }
    }
}

/// YaRN (Peng et al. 2023, arXiv:2309.00071): dimensions that turn often are kept, those that turn seldom divided by
/// `factor`, a ramp over the dimensions between; cosine and sine are multiplied by a factor of attention.
#[derive(Debug, Clone, PartialEq)]
pub struct YarnScaling {
    /// Divisor of the slow dimensions, at least 1.
    pub factor: f64,
    /// Multiplies cosine and sine; None: `0.1 ln factor + 1`, or as `mscale` says.
    pub attention_factor: Option<f64>,
    /// `mscale` and `mscale_all_dim`, where both are given: the attention factor is the quotient of the two.
    pub mscale: Option<(f64, f64)>,
    /// Turns over the original context from which a dimension is kept; default 32.
    pub beta_fast: f64,
    /// Turns below which a dimension is divided; default 1.
    pub beta_slow: f64,
    /// The ends of the ramp are rounded outwards to whole dimensions; default true.
    pub truncate: bool,
    /// Context length of the original training, in tokens.
    pub original_max_position_embeddings: usize,
}

/// LongRoPE (Ding et al. 2024, arXiv:2402.13753): every dimension has a divisor of its own, another one in sequences longer
/// than the original context.
#[derive(Debug, Clone, PartialEq)]
pub struct LongRopeScaling {
    /// Divisors up to the original context.
    pub short_factor: Vec<f64>,
    /// Divisors beyond it.
    pub long_factor: Vec<f64>,
    /// Longest context over the original one.
    pub factor: f64,
    /// Multiplies cosine and sine; None: `√(1 + ln factor / ln original)`.
    pub attention_factor: Option<f64>,
    /// Context length of the original training, in tokens.
    pub original_max_position_embeddings: usize,
}

/// Base and scaling of the rotation.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric series of frequencies.
    pub theta: f64,
    /// Part of every head that is rotated, in 0 … 1.
    pub partial: f64,
    /// Change of the frequencies.
    pub scaling: RopeScaling,
}

/// What a family says about its rotation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeRules {
    /// Base where the configuration names none.
    pub theta: f64,
    /// `partial_rotary_factor` may be below 1.
    pub partial: bool,
    /// Windowed layers have a rotation of their own.
    pub windowed: Option<WindowedRope>,
}

/// The rotation of windowed layers, where it is another one (Gemma 3): `rope_parameters` holds an object per kind of layer;
/// the older spelling has a key for the second base, and its `rope_scaling` concerns the other layers only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowedRope {
    /// Key of the base in the older spelling.
    pub theta_key: &'static str,
    /// Base where the configuration names none.
    pub theta: f64,
}

impl RopeRules {
    /// One rotation of whole heads with a base.
    pub fn plain(theta: f64) -> Self {
        Self { theta, partial: false, windowed: None }
    }
}

/// The rotations of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Ropes {
    /// Of layers that see everything, or of all.
    pub full: RopeConfig,
    /// Of windowed layers, where the family's rules have one.
    pub windowed: Option<RopeConfig>,
}
