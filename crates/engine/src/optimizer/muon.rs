//! Muon for the weight matrices of hidden layers, AdamW for everything else.

use serde::Deserialize;
use tunesmith_ops::muon::workspace;
use tunesmith_ops::{Backend, DType, MuonStep, MuonTensor, MuonWorkspace, Result, ViewMut};

use super::adamw::AdamWOptions;
use super::parameters::{ParameterKind, ParameterSpec};
use super::slot::Slot;
use super::step::Step;
use super::trained::{Trained, exactly};

/// How a learning rate follows from the shape of a matrix (`adjust_lr_fn` of torch.optim.Muon).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustLr {
    /// √max(1, rows / columns), as Jordan has it.
    Original,
    /// 0.2 · √max(rows, columns): updates as large as AdamW's (Liu et al. 2025, arXiv:2502.16982).
    MatchRmsAdamw,
    /// √(rows / columns).
    SpectralUnclamped,
}

/// Constants of Muon (Jordan et al. 2024), and those of AdamW for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MuonOptions {
    /// What is kept of the momentum.
    pub momentum: f64,
    /// The step looks ahead along the momentum.
    pub nesterov: bool,
    /// Coefficients of an iteration of Newton and Schulz.
    pub ns_coefficients: [f64; 3],
    /// Number of iterations.
    pub ns_steps: usize,
    /// The least norm that a direction is divided by.
    pub ns_epsilon: f64,
    /// How rates follow from shapes.
    pub adjust_lr_fn: AdjustLr,
    /// AdamW's decay rate of the first moment.
    pub beta1: f64,
    /// AdamW's decay rate of the second moment.
    pub beta2: f64,
    /// Added to the root of AdamW's second moment.
    pub epsilon: f64,
}

impl MuonOptions {
    /// The momentum of a hidden matrix, AdamW's moments of anything else.
    pub(super) fn slots(spec: &ParameterSpec) -> Vec<Slot> {
        if is_hidden_matrix(spec) { vec![Slot::float32("momentum_buffer")] } else { AdamWOptions::SLOTS.to_vec() }
    }

    pub(super) fn step<B: Backend>(&self, at: &Step<'_, B>, tensors: Vec<Trained<'_, B::Buffer>>) -> Result<()> {
        let Self { beta1, beta2, epsilon, .. } = *self;
        let (hidden, rest): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|trained| is_hidden_matrix(trained.spec));
        let mut tensors = hidden.into_iter().map(|trained| self.tensor(trained)).collect::<Result<Vec<_>>>()?;
        let [activations, floats] = workspace(tensors.iter().map(|tensor| tensor.shape));
        // Before anything is changed: where memory ends, no tensor has been stepped.
        let mut room =
            [at.backend.zeros(at.backend.activation_dtype(), activations)?, at.backend.zeros(DType::F32, floats)?];
        let [first, second] = &mut room;
        let room =
            MuonWorkspace { activations: ViewMut::new(first, 0, activations), floats: ViewMut::new(second, 0, floats) };
        let step = MuonStep {
            momentum: self.momentum,
            nesterov: self.nesterov,
            coefficients: self.ns_coefficients,
            iterations: self.ns_steps,
            epsilon: self.ns_epsilon,
        };
        AdamWOptions { beta1, beta2, epsilon }.step(at, rest)?;
        at.backend.muon(&step, at.norm, &mut tensors, room)
    }

    fn tensor<'a, T>(&self, trained: Trained<'a, T>) -> Result<MuonTensor<'a, T>> {
        let [momentum_buffer] = exactly("muon", trained.slots)?;
        Ok(MuonTensor {
            parameter: trained.parameter,
            gradient: trained.gradient,
            momentum_buffer,
            shape: trained.spec.held_matrices(),
            learning_rate: trained.rate * self.adjust_lr_fn.factor(trained.spec),
            decay: trained.rate * trained.decay,
        })
    }
}

impl AdjustLr {
    /// What the rate of a matrix, or of each of a stack, is multiplied with: by its shape in files.
    fn factor(self, spec: &ParameterSpec) -> f64 {
        let [rows, columns] = match spec.shape[..] {
            [.., rows, columns] => [rows, columns].map(|size| size as f64),
            _ => [1.0; 2],
        };
        match self {
            Self::Original => (rows / columns).max(1.0).sqrt(),
            Self::MatchRmsAdamw => 0.2 * rows.max(columns).sqrt(),
            Self::SpectralUnclamped => (rows / columns).sqrt(),
        }
    }
}

/// Whether a tensor is a matrix of a hidden layer, or a stack of them: neither of the embedding nor of the head, whose rows are tokens.
fn is_hidden_matrix(spec: &ParameterSpec) -> bool {
    let of_tokens = ["embed_tokens", "lm_head"].iter().any(|name| spec.name.contains(name));
    spec.shape.len() >= 2 && spec.kind != ParameterKind::Embedding && !of_tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, shape: &[usize], kind: ParameterKind) -> ParameterSpec {
        ParameterSpec { name: name.to_owned(), shape: shape.to_vec(), kind, transposed: false, experts: 0, scale: None }
    }

    #[test]
    fn matrices_of_hidden_layers_have_a_momentum_and_everything_else_has_the_moments_of_adamw() {
        let whole = |name: &str, shape: &[usize]| spec(name, shape, ParameterKind::Decay);
        let of_adapter = |part: &str| format!("base_model.model.model.layers.0.self_attn.q_proj.{part}");
        let hidden = [
            whole("model.layers.0.self_attn.q_proj.weight", &[8, 8]),
            whole("model.layers.0.mlp.gate.weight", &[4, 8]),
            whole("model.layers.0.mlp.experts.gate_up_proj", &[4, 16, 8]),
            whole(&of_adapter("lora_A.weight"), &[2, 8]),
            spec(&of_adapter("lora_B.weight"), &[8, 2], ParameterKind::LoraB),
        ];
        let rest = [
            whole("model.embed_tokens.weight", &[32, 8]),
            whole("lm_head.weight", &[32, 8]),
            whole("base_model.model.lm_head.lora_A.weight", &[2, 8]),
            spec("base_model.model.lm_head.lora_B.weight", &[32, 2], ParameterKind::LoraB),
            spec("base_model.model.model.embed_tokens.lora_embedding_A", &[2, 32], ParameterKind::Embedding),
            spec("model.norm.weight", &[8], ParameterKind::NoDecay),
            spec(&of_adapter("lora_magnitude_vector"), &[8], ParameterKind::LoraB),
        ];
        let names = |spec: &ParameterSpec| MuonOptions::slots(spec).iter().map(|slot| slot.name).collect::<Vec<_>>();
        for spec in &hidden {
            assert_eq!(names(spec), ["momentum_buffer"], "{}", spec.name);
        }
        for spec in &rest {
            assert_eq!(names(spec), ["exp_avg", "exp_avg_sq"], "{}", spec.name);
        }
    }

    // Of torch.optim.Muon, by the shape that files have: a matrix that is held transposed is no other one.
    #[test]
    fn rates_follow_from_the_shape_of_a_matrix_as_torch_has_it() {
        let factors = |shape: &[usize], transposed| {
            let spec = ParameterSpec { transposed, ..spec("w", shape, ParameterKind::Decay) };
            [AdjustLr::Original, AdjustLr::MatchRmsAdamw, AdjustLr::SpectralUnclamped].map(|one| one.factor(&spec))
        };
        assert_eq!(factors(&[64, 16], false), [2.0, 1.6, 2.0]);
        assert_eq!(factors(&[16, 64], false), [1.0, 1.6, 0.5]);
        assert_eq!(factors(&[3, 16, 64], false), [1.0, 1.6, 0.5]);
        assert_eq!(factors(&[64, 16], true), [2.0, 1.6, 2.0]);
    }
}
