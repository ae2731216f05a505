//! What is minimised, as data that crosses from TypeScript.

use serde::Deserialize;
use tunesmith_ops::{Code, Error, LocalObjective, Result};

/// A loss over the supervised tokens that each token's own values give, in one pass. The gradient is that of
/// `Σ weight · loss`; a row's loss sum is the same sum.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Objective {
    /// Negative log-likelihood `−log p(label)`, with label smoothing and z-loss where asked for.
    Nll {
        /// Share of the loss that goes to the mean over the vocabulary, 0 to 1 (arXiv:1512.00567). Default 0.
        #[serde(default)]
        label_smoothing: f32,
        /// Factor of `(log Σ exp z)²`, from 0 (arXiv:2204.02311). Default 0.
        #[serde(default)]
        z_loss: f32,
    },
    /// `p(label) · −log p(label)` with `p(label)` taken as a constant (dynamic fine-tuning, arXiv:2508.05629).
    Dft {},
}

impl Default for Objective {
    /// Plain negative log-likelihood.
    fn default() -> Self {
        Self::Nll { label_smoothing: 0.0, z_loss: 0.0 }
    }
}

impl Objective {
    /// Reads `{ "type": "nll", … }`.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a type that is unknown, a parameter that is, or one out of range.
    pub fn from_json(text: &str) -> Result<Self> {
        let read: Self = serde_json::from_str(text).map_err(|error| {
            let message = format!("expected an objective this engine knows, got {text}: {error}; choose one of those");
            Error::new(Code::ArgumentInvalid, "objective", message)
        })?;
        read.local().check("objective")?;
        Ok(read)
    }

    /// As the op takes it.
    pub(super) fn local(&self) -> LocalObjective {
        match *self {
            Self::Nll { label_smoothing, z_loss } => LocalObjective::Nll { label_smoothing, z_loss },
            Self::Dft {} => LocalObjective::Dft,
        }
    }

    /// Whether the loss of a token is made of log Σ exp and the mean log-probability too.
    pub(super) fn reads_more(&self) -> bool {
        matches!(*self, Self::Nll { label_smoothing, z_loss } if label_smoothing != 0.0 || z_loss != 0.0)
    }

    /// The loss of one token of weight 1 from its values.
    pub(super) fn loss(&self, log_prob: f64, log_sum_exp: f64, mean_log_prob: f64) -> f64 {
        match *self {
            Self::Nll { label_smoothing, z_loss } if self.reads_more() => {
                let (smoothing, z_loss) = (f64::from(label_smoothing), f64::from(z_loss));
                -((1.0 - smoothing) * log_prob + smoothing * mean_log_prob) + z_loss * log_sum_exp * log_sum_exp
            }
            Self::Nll { .. } => -log_prob,
            Self::Dft {} => -log_prob * log_prob.exp(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_is_data_and_what_is_unknown_is_refused_by_name() {
        assert_eq!(Objective::from_json(r#"{"type":"nll"}"#).unwrap(), Objective::default());
        let smoothed = Objective::Nll { label_smoothing: 0.1, z_loss: 1e-4 };
        assert_eq!(Objective::from_json(r#"{"type":"nll","labelSmoothing":0.1,"zLoss":1e-4}"#).unwrap(), smoothed);
        assert_eq!(Objective::from_json(r#"{"type":"dft"}"#).unwrap(), Objective::Dft {});
        for (text, named) in [
            (r#"{"type":"hinge"}"#, "hinge"),
            (r#"{"type":"nll","labelSmoothin":0.1}"#, "labelSmoothin"),
            (r#"{"type":"dft","zLoss":1}"#, "zLoss"),
            (r#"{"type":"nll","labelSmoothing":2}"#, "label smoothing"),
            ("{}", "type"),
        ] {
            let error = Objective::from_json(text).unwrap_err();
            assert!(error.code == Code::ArgumentInvalid && error.to_string().contains(named), "{error}");
        }
    }
}
