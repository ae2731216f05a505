//! Values of each token on their way out, and coefficients on their way in.

use napi::bindgen_prelude::{Float32Array, Float32ArraySlice, Uint8Array};
use napi_derive::napi;
use tunesmith_engine as engine;

/// What the model says of each label: `[T]` each, 0 where there is none.
#[napi(object, object_from_js = false)]
pub struct TokenValues {
    /// Log-probability of the label.
    pub log_prob: Float32Array,
    /// Entropy of the distribution, nats.
    pub entropy: Float32Array,
    /// log Σ exp of the logits.
    pub log_sum_exp: Float32Array,
    /// Mean of the log-probabilities over the vocabulary.
    pub mean_log_prob: Float32Array,
    /// 1 where the label is the largest logit.
    pub hit: Uint8Array,
    /// log Σ p², where asked for.
    pub log_sum_squares: Option<Float32Array>,
    /// Mean of the logits over the vocabulary, where asked for.
    pub mean_logit: Option<Float32Array>,
}

impl From<engine::TokenValues> for TokenValues {
    fn from(values: engine::TokenValues) -> Self {
        Self {
            log_prob: values.log_prob.into(),
            entropy: values.entropy.into(),
            log_sum_exp: values.log_sum_exp.into(),
            mean_log_prob: values.mean_log_prob.into(),
            hit: values.hit.into(),
            log_sum_squares: values.log_sum_squares.map(Into::into),
            mean_logit: values.mean_logit.map(Into::into),
        }
    }
}

/// Values of a token that are computed only where asked for.
#[napi(object, object_to_js = false)]
pub struct ExtraValues {
    /// log Σ p².
    pub log_sum_squares: bool,
    /// Mean of the logits over the vocabulary.
    pub mean_logit: bool,
    /// The logits are divided by it; absent: they are as they are.
    pub temperature: Option<f64>,
}

impl From<ExtraValues> for engine::Asked {
    fn from(extra: ExtraValues) -> Self {
        let ExtraValues { log_sum_squares, mean_logit, temperature } = extra;
        #[allow(clippy::cast_possible_truncation, reason = "logits are float32")]
        let temperature = temperature.map(|value| value as f32);
        Self { log_sum_squares, mean_logit, temperature, ..Self::DIFFERENTIABLE }
    }
}

/// The derivative of a loss by each value of each label: `[T]` each; absent is 0.
#[napi(object, object_to_js = false)]
pub struct Coefficients<'env> {
    /// By the log-probability.
    pub log_prob: Option<Float32ArraySlice<'env>>,
    /// By the entropy.
    pub entropy: Option<Float32ArraySlice<'env>>,
    /// By log Σ exp of the logits.
    pub log_sum_exp: Option<Float32ArraySlice<'env>>,
    /// By the mean log-probability.
    pub mean_log_prob: Option<Float32ArraySlice<'env>>,
}

/// Coefficients on their way to the engine's thread.
pub struct OwnedCoefficients {
    log_prob: Option<Vec<f32>>,
    entropy: Option<Vec<f32>>,
    log_sum_exp: Option<Vec<f32>>,
    mean_log_prob: Option<Vec<f32>>,
}

impl From<&Coefficients<'_>> for OwnedCoefficients {
    /// Copies JavaScript's arrays: no thread holds on to them.
    fn from(given: &Coefficients<'_>) -> Self {
        let copy = |column: &Option<Float32ArraySlice<'_>>| column.as_ref().map(|values| values.to_vec());
        Self {
            log_prob: copy(&given.log_prob),
            entropy: copy(&given.entropy),
            log_sum_exp: copy(&given.log_sum_exp),
            mean_log_prob: copy(&given.mean_log_prob),
        }
    }
}

impl OwnedCoefficients {
    /// As the engine takes them.
    pub fn borrow(&self) -> engine::TokenCoefficients<'_> {
        engine::TokenCoefficients {
            log_prob: self.log_prob.as_deref(),
            entropy: self.entropy.as_deref(),
            log_sum_exp: self.log_sum_exp.as_deref(),
            mean_log_prob: self.mean_log_prob.as_deref(),
        }
    }
}
