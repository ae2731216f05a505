//! What an adapter brings of its own: factors, the magnitudes of a DoRA, and trained copies of whole modules.

use std::collections::BTreeMap;

use tunesmith_formats::{AdapterTensor, FactorKind, b_bias_name, bias_name, magnitude_name, saved_name};
use tunesmith_ops::{Backend, Code, DType, Error, Lora, Matrix, Result, View, ViewMut};

use super::modules::Module;
use super::peft::{Adapter, Patch};
use super::values::{matrix_values, vector_values};
use crate::families::names;
use crate::layer::{EmbeddingLora, Linear, LoraSlot, Vector, Weight};
use crate::optimizer::{ParameterId, ParameterKind, ParameterSpec, Parameters};

impl<B: Backend> Adapter<B> {
    /// Puts the factors A and B on a module.
    pub(super) fn add_factors(
        &mut self,
        backend: &B,
        index: usize,
        module: &Module<'_, B>,
        (r, scale): (usize, f32),
        [a, b]: [&[f32]; 2],
    ) -> Result<()> {
        let name = module.name();
        let patch = match module {
            Module::Linear(linear) => {
                let kind = FactorKind::Linear;
                let a_spec = spec(kind.a_name(name), &[r, linear.k], ParameterKind::Decay);
                let b_spec = ParameterSpec {
                    scale: Some(scale),
                    ..spec(kind.b_name(name), &[linear.n, r], ParameterKind::LoraB)
                };
                Patch::Lora(Some(LoraSlot {
                    a: self.parameters.add(backend, a_spec, a)?,
                    b: self.parameters.add(backend, b_spec, b)?,
                    magnitude: None,
                    bias: None,
                    r,
                    scale,
                    dropout: self.config.lora_dropout,
                    // The module's place among all, so that what else is adapted does not change its masks.
                    stream: index as u32,
                }))
            }
            Module::Embedding(embedding) => {
                let factor = |name, shape: &[usize]| ParameterSpec {
                    transposed: true,
                    ..spec(name, shape, ParameterKind::Embedding)
                };
                let kind = FactorKind::Embedding;
                let a = self.parameters.add(backend, factor(kind.a_name(name), &[r, embedding.v]), a)?;
                let b = self.parameters.add(backend, factor(kind.b_name(name), &[embedding.d, r]), b)?;
                Patch::EmbeddingLora(Some(EmbeddingLora { a, b, r, scale }))
            }
            Module::Norm(_) | Module::Experts(_) => {
                return Err(crate::internal::internal("adapter", "a module that takes factors"));
            }
        };
        self.patches.push((index, patch));
        self.modules.push(name.to_owned());
        Ok(())
    }

    /// Gives the last factors a bias of B.
    pub(super) fn add_b_bias(&mut self, backend: &B, name: &str, values: &[f32]) -> Result<()> {
        let id =
            self.parameters.add(backend, spec(b_bias_name(name), &[values.len()], ParameterKind::NoDecay), values)?;
        match self.patches.last_mut() {
            Some((_, Patch::Lora(Some(slot)))) => slot.bias = Some(id),
            _ => return Err(crate::internal::internal("adapter", "factors before the bias of B")),
        }
        Ok(())
    }

    /// Trains the bias of a layer: from `values`, or from what the base has. Nothing to do for a layer without one.
    pub(super) fn add_bias(
        &mut self,
        backend: &B,
        (index, linear): (usize, &Linear<B>),
        values: Option<&AdapterTensor>,
    ) -> Result<()> {
        let Some(bias) = &linear.bias else { return Ok(()) };
        let name = bias_name(&linear.module, self.modules.contains(&linear.module));
        let own = values.is_none().then(|| vector_values(backend, bias)).transpose()?;
        let values = own.as_deref().or(values.map(|tensor| tensor.data.as_slice())).unwrap_or_default();
        let id = self.parameters.add(backend, spec(name, &[linear.n], ParameterKind::NoDecay), values)?;
        self.patches.push((index, Patch::Bias(Vector::Trained(id))));
        Ok(())
    }

    /// Gives the last factors the magnitudes of a DoRA.
    pub(super) fn add_magnitude(&mut self, backend: &B, name: &str, values: &[f32]) -> Result<()> {
        let magnitude = spec(magnitude_name(name), &[values.len()], ParameterKind::LoraB);
        let id = self.parameters.add(backend, magnitude, values)?;
        match self.patches.last_mut() {
            Some((_, Patch::Lora(Some(slot)))) => slot.magnitude = Some(id),
            _ => return Err(crate::internal::internal("adapter", "factors before their magnitudes")),
        }
        Ok(())
    }

    /// The same, with the lengths that the rows have now: those of what is left under the factors, and the factors.
    pub(super) fn measure_magnitude(&mut self, backend: &B, linear: &Linear<B>) -> Result<()> {
        let (Some((_, Patch::Lora(Some(slot)))), Some(name)) = (self.patches.last(), self.modules.last().cloned())
        else {
            return Err(crate::internal::internal("adapter", "factors before their magnitudes"));
        };
        let rest = self.patches.iter().rev().nth(1).and_then(|(_, patch)| match patch {
            Patch::Rest(rest) => Some(rest),
            _ => None,
        });
        let Weight::Frozen(weight) = rest.unwrap_or(&linear.weight) else {
            return Err(crate::internal::internal("adapter", "a frozen weight under an adapter"));
        };
        let (a, b) = (self.parameters.value(slot.a), self.parameters.value(slot.b));
        let lora = Lora { r: slot.r, a, b, scale: slot.scale };
        let mut norms = backend.zeros(DType::F32, linear.n)?;
        backend.dora_norms(linear.n, linear.k, Matrix::Frozen(weight), lora, ViewMut::new(&mut norms, 0, linear.n))?;
        let mut host = vec![0.0; linear.n];
        backend.read(View::new(&norms, 0, linear.n), &mut host)?;
        self.add_magnitude(backend, &name, &host)
    }

    /// A trained copy of a module's own tensors.
    pub(super) fn add_copy(&mut self, backend: &B, index: usize, module: &Module<'_, B>) -> Result<()> {
        let name = module.name();
        let place = |part: &str| saved_name(&format!("{name}.{part}"));
        let parameters = &mut self.parameters;
        let patch = match module {
            Module::Linear(linear) => {
                let kind = if name == names::HEAD { ParameterKind::Embedding } else { ParameterKind::Decay };
                let values = matrix_values(backend, &linear.weight, linear.n, linear.k)?;
                let id = parameters.add(backend, spec(place("weight"), &[linear.n, linear.k], kind), &values)?;
                let bias = linear.bias.as_ref().map(|bias| copy_vector(backend, parameters, bias, place("bias")));
                Patch::Linear(Weight::Trained(id), bias.transpose()?.map(Vector::Trained))
            }
            Module::Norm(norm) => {
                Patch::Norm(Vector::Trained(copy_vector(backend, parameters, &norm.scale, place("weight"))?))
            }
            Module::Experts(_) => return Err(crate::internal::internal("adapter", "a module that is copied whole")),
            Module::Embedding(embedding) => {
                let values = matrix_values(backend, &embedding.table, embedding.v, embedding.d)?;
                let table = spec(place("weight"), &[embedding.v, embedding.d], ParameterKind::Embedding);
                Patch::Embedding(Weight::Trained(parameters.add(backend, table, &values)?))
            }
        };
        self.patches.push((index, patch));
        Ok(())
    }

    /// Puts the values of a file into the copy of a module.
    pub(super) fn overwrite(
        &mut self,
        backend: &B,
        name: &str,
        mut tensors: BTreeMap<String, AdapterTensor>,
    ) -> Result<()> {
        let prefix = saved_name(&format!("{name}."));
        let specs: Vec<(ParameterId, ParameterSpec)> =
            self.parameters.ids().zip(self.parameters.specs().iter().cloned()).collect();
        for (id, spec) in specs {
            let Some(part) = spec.name.strip_prefix(&prefix) else { continue };
            match tensors.remove(part) {
                Some(tensor) if tensor.shape == spec.shape => self.parameters.write(backend, id, &tensor.data)?,
                other => {
                    let got = other.map_or("none".to_owned(), |tensor| format!("{:?}", tensor.shape));
                    let message = format!("expected shape {:?}, got {got}; it belongs to another model", spec.shape);
                    return Err(Error::new(Code::ConfigInvalid, &spec.name, message));
                }
            }
        }
        match tensors.into_keys().next() {
            None => Ok(()),
            Some(part) => {
                let message = format!("expected tensors that {name} has, got {part:?}; it belongs to another model");
                Err(Error::new(Code::ConfigInvalid, name, message))
            }
        }
    }
}

/// A trained tensor that is held as it is stored.
pub(super) fn spec(name: String, shape: &[usize], kind: ParameterKind) -> ParameterSpec {
    ParameterSpec { name, shape: shape.to_vec(), kind, transposed: false, experts: 0, scale: None }
}

fn copy_vector<B: Backend>(
    backend: &B,
    parameters: &mut Parameters<B>,
    vector: &Vector<B>,
    name: String,
) -> Result<ParameterId> {
    let host = vector_values(backend, vector)?;
    parameters.add(backend, spec(name, &[host.len()], ParameterKind::NoDecay), &host)
}
