//! LoRA-FA: A of every pair of factors stays what it is, and the gradient of B is made the one that brings their product closest to
//! the gradient of the whole weight (Zhang et al. 2023, arXiv:2308.03303, as PEFT's `create_lorafa_optimizer` has it).

use serde::Deserialize;
use tunesmith_ops::{AdamWStep, AdamWTensor, Backend, DType, Error, Host, MatmulShape, Matrix, Result, View, ViewMut};

use super::adamw::AdamWOptions;
use super::parameters::{ParameterSpec, Parameters};
use super::slot::Slot;
use super::step::Step;
use super::trained::{Trained, exactly};

/// Added to the diagonal of `A Aᵀ`, so that it has an inverse (PEFT).
const DELTA: f64 = 1e-8;

/// Constants of LoRA-FA's AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoraFaOptions {
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment before its bias is corrected.
    pub epsilon: f64,
}

impl LoraFaOptions {
    /// Whether a tensor stays what it is.
    pub(super) fn is_fixed(spec: &ParameterSpec) -> bool {
        spec.name.ends_with(".lora_A.weight")
    }

    /// The moments of what is trained.
    pub(super) fn slots(spec: &ParameterSpec) -> Vec<Slot> {
        if Self::is_fixed(spec) { Vec::new() } else { AdamWOptions::SLOTS.to_vec() }
    }

    /// For the B of each layer, by the number of the tensor: `(A Aᵀ + δ I)⁻¹ / s²`, an `[r, r]` matrix.
    ///
    /// # Errors
    /// `ArgumentInvalid` for an adapter with more than the factors of layers, or activations in 16 bits; whatever the backend fails
    /// with.
    pub(super) fn conditioners<B: Backend>(backend: &B, parameters: &Parameters<B>) -> Result<Vec<Option<B::Buffer>>> {
        let specs = parameters.specs();
        let refuse = |expected: &str, got: String| Err(Error::argument("optim lorafa", expected, got));
        if backend.activation_dtype() != DType::F32 {
            let got = format!("{}; set dtype to float32, or take adamw_torch", backend.activation_dtype());
            return refuse("products in float32", got);
        }
        if let Some(other) = specs.iter().find(|spec| spec.name.contains(".lora_") && !is_factor(spec)) {
            let got = format!("{}; leave it out, or take adamw_torch", other.name);
            return refuse("an adapter with factors A and B of layers alone", got);
        }
        let of = |spec: &ParameterSpec| {
            let Some(scale) = spec.scale else { return Ok(None) };
            let name = spec.name.replace(".lora_B.", ".lora_A.");
            let Some(a) = parameters.ids().zip(specs).find_map(|(id, other)| (other.name == name).then_some(id)) else {
                return Ok(None);
            };
            let r = spec.shape.last().copied().unwrap_or_default();
            let values = parameters.read(backend, a)?;
            let inverse =
                if backend.keeps_values() { inverse_of_gram(&values, r, f64::from(scale)) } else { vec![0.0; r * r] };
            backend.upload(Host::F32(&inverse)).map(Some)
        };
        specs.iter().map(of).collect()
    }

    /// AdamW as transformers 4 had it: epsilon is added before the bias is corrected, and decay comes last.
    pub(super) fn step<B: Backend>(&self, at: &Step<'_, B>, tensors: Vec<Trained<'_, B::Buffer>>) -> Result<()> {
        let Self { beta1, beta2, epsilon } = *self;
        // Before anything is changed: where memory ends, no tensor has been stepped.
        let made = tensors.iter().map(|trained| conditioned(at.backend, trained)).collect::<Result<Vec<_>>>()?;
        let mut steps = tensors
            .into_iter()
            .zip(&made)
            .map(|(trained, made)| {
                let [first_moment, second_moment] = exactly("lorafa", trained.slots)?;
                // p − η·u, and then that times 1 − η·λ.
                let kept = 1.0 - trained.rate * trained.decay;
                let gradient = made.as_ref().map_or(trained.gradient, |made| View::new(made, 0, trained.spec.len()));
                Ok(AdamWTensor {
                    parameter: trained.parameter,
                    gradient,
                    first_moment,
                    second_moment,
                    learning_rate: trained.rate * kept,
                    weight_decay: trained.decay / kept,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let correction = (1.0 - beta2.powf(at.number as f64)).sqrt();
        let step = AdamWStep { step: at.number, beta1, beta2, epsilon: epsilon / correction };
        at.backend.adamw(&step, at.norm, &mut steps)
    }
}

/// Whether a tensor is a factor of a layer.
fn is_factor(spec: &ParameterSpec) -> bool {
    LoraFaOptions::is_fixed(spec) || spec.scale.is_some()
}

/// The gradient times its conditioner, where it has one.
fn conditioned<B: Backend>(backend: &B, trained: &Trained<'_, B::Buffer>) -> Result<Option<B::Buffer>> {
    let (Some(conditioner), [n, r]) = (trained.conditioner, &trained.spec.shape[..]) else { return Ok(None) };
    let mut made = backend.zeros(DType::F32, n * r)?;
    let shape = MatmulShape { m: *n, n: *r, k: *r };
    // The conditioner is its own transpose.
    let target = ViewMut::new(&mut made, 0, n * r);
    backend.matmul_forward(shape, trained.gradient, Matrix::Trained(conditioner), None, target)?;
    Ok(Some(made))
}

/// `(A Aᵀ + δ I)⁻¹ / s²` of `A[r, k]`, in float64 by elimination: the matrix is positive definite.
fn inverse_of_gram(a: &[f32], r: usize, s: f64) -> Vec<f32> {
    let k = a.len() / r.max(1);
    let dot = |i: usize, j: usize| -> f64 {
        (0..k).map(|c| f64::from(a[i * k + c]) * f64::from(a[j * k + c])).sum::<f64>()
            + f64::from(u8::from(i == j)) * DELTA
    };
    // Left the matrix, right what becomes its inverse.
    let width = 2 * r;
    let mut rows: Vec<f64> = (0..r * width)
        .map(|at| match (at / width, at % width) {
            (i, j) if j < r => dot(i, j),
            (i, j) => f64::from(u8::from(i == j - r)),
        })
        .collect();
    for pivot in 0..r {
        let scale = 1.0 / rows[pivot * width + pivot];
        rows[pivot * width..(pivot + 1) * width].iter_mut().for_each(|value| *value *= scale);
        let own = rows[pivot * width..(pivot + 1) * width].to_vec();
        for i in (0..r).filter(|i| *i != pivot) {
            let factor = rows[i * width + pivot];
            rows[i * width..(i + 1) * width].iter_mut().zip(&own).for_each(|(value, own)| *value -= factor * own);
        }
    }
    (0..r * r).map(|at| (rows[at / r * width + r + at % r] / (s * s)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::ParameterKind;

    #[test]
    fn the_inverse_times_the_matrix_is_one_over_the_square_of_the_scale() {
        let (r, k, s) = (3, 7, 2.0);
        let a: Vec<f32> = (0..r * k).map(|at| ((at * 37 % 11) as f32 - 5.0) / 4.0).collect();
        let inverse = inverse_of_gram(&a, r, s);
        let gram = |i: usize, j: usize| (0..k).map(|c| f64::from(a[i * k + c] * a[j * k + c])).sum::<f64>();
        for i in 0..r {
            for j in 0..r {
                let product: f64 = (0..r).map(|l| gram(i, l) * f64::from(inverse[l * r + j])).sum();
                assert!((product - if i == j { 0.25 } else { 0.0 }).abs() < 1e-6, "{i} {j}: {product}");
            }
        }
    }

    #[test]
    fn a_stays_and_b_has_moments() {
        let spec = |name: &str| ParameterSpec {
            name: format!("base_model.model.model.layers.0.q_proj.{name}"),
            shape: vec![4, 2],
            kind: ParameterKind::Decay,
            transposed: false,
            experts: 0,
            scale: None,
        };
        assert!(LoraFaOptions::slots(&spec("lora_A.weight")).is_empty());
        for other in ["lora_B.weight", "weight", "lora_embedding_A"] {
            assert_eq!(LoraFaOptions::slots(&spec(other)).len(), 2, "{other}");
        }
    }
}
