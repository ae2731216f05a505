//! Adapters on the matrices of experts, which are parameters of one module: PEFT's `target_parameters`.

use std::collections::BTreeMap;

use tunesmith_formats::{EXPERT_PARAMETERS, FactorKind, InitLoraWeights, LoraTensors, Matcher, ModuleTensors};
use tunesmith_ops::{Backend, Code, Error, Result};

use super::initial::Draws;
use super::modules::Module;
use super::peft::{Adapter, ExpertMatrix, ExpertValues, Patch};
use super::tensors::spec;
use crate::layer::{ExpertLora, Mixture};
use crate::optimizer::{ParameterKind, ParameterSpec};

impl ExpertMatrix {
    /// The matrix of a parameter's name.
    fn of(parameter: &str) -> Self {
        if Some(&parameter) == EXPERT_PARAMETERS.first() { Self::GateUp } else { Self::Down }
    }

    /// Rows and columns of it, of one expert.
    fn sizes<B: Backend>(self, mixture: &Mixture<B>) -> [usize; 2] {
        match self {
            Self::GateUp => [2 * mixture.f, mixture.d],
            Self::Down => [mixture.d, mixture.f],
        }
    }

    /// Where its adapter is.
    pub(super) fn slot<B: Backend>(self, mixture: &mut Mixture<B>) -> &mut Option<ExpertLora> {
        match self {
            Self::GateUp => &mut mixture.gate_up_lora,
            Self::Down => &mut mixture.down_lora,
        }
    }
}

impl<B: Backend> Adapter<B> {
    /// Puts factors on every targeted matrix of experts.
    pub(super) fn add_experts(
        &mut self,
        backend: &B,
        all: &[Module<'_, B>],
        mut values: ExpertValues<'_>,
    ) -> Result<()> {
        let config = self.config.clone();
        let matcher = Matcher::new(&config)?;
        let mut number = 0;
        for (index, module) in all.iter().enumerate() {
            let Module::Experts(mixture) = module else { continue };
            for short in EXPERT_PARAMETERS {
                let name = format!("{}.{short}", mixture.module);
                if !config.targets_parameter(&name) {
                    continue;
                }
                let ((r, scale), experts) = (matcher.rank_and_scale(&name)?, mixture.experts);
                let matrix = ExpertMatrix::of(short);
                let [n, k] = matrix.sizes(mixture);
                let [a, b] = match &mut values {
                    ExpertValues::Drawn(seed, before) => {
                        let draws = Draws::new(*seed, (*before + number) as u32);
                        drawn(&draws, config.init_lora_weights, (r, experts), (n, k))
                    }
                    ExpertValues::Read(files) => read(files, &name, [experts * r, n, k])?,
                };
                number += 1;
                let (kind, path) = (FactorKind::Experts, config.path_of_parameter(&mixture.module, short));
                let a_spec = spec(kind.a_name(&path), &[experts * r, k], ParameterKind::Decay);
                let b_spec = spec(kind.b_name(&path), &[n, r * experts], ParameterKind::LoraB);
                let a = self.parameters.add(backend, a_spec, &a)?;
                let b = self.parameters.add(backend, ParameterSpec { experts, ..b_spec }, &b)?;
                self.patches.push((index, Patch::Experts(matrix, Some(ExpertLora { a, b, r, scale }))));
                self.modules.push(name);
            }
        }
        Ok(())
    }
}

/// As PEFT begins: a linear layer of r · experts rows, but for the deviation of normals, which is that of the rank.
fn drawn(draws: &Draws, init: InitLoraWeights, (r, experts): (usize, usize), (n, k): (usize, usize)) -> [Vec<f32>; 2] {
    let [mut a, b] = draws.linear(init, (r * experts, n, k));
    if init == InitLoraWeights::Gaussian {
        a.iter_mut().for_each(|value| *value *= experts as f32);
    }
    [a, b]
}

fn read(files: &mut BTreeMap<String, ModuleTensors>, name: &str, [rows, n, k]: [usize; 3]) -> Result<[Vec<f32>; 2]> {
    let refuse = |got: String| {
        let expected = format!("factors [{rows}, {k}] and [{n}, {rows}] of experts");
        let message = format!("expected {expected}, got {got}; it belongs to another model");
        Err(Error::new(Code::ConfigInvalid, name, message))
    };
    match files.remove(name) {
        Some(ModuleTensors::Lora(LoraTensors { a, b, .. })) if a.shape == [rows, k] && b.shape == [n, rows] => {
            Ok([a.data, b.data])
        }
        Some(ModuleTensors::Lora(LoraTensors { a, b, .. })) => refuse(format!("{:?} and {:?}", a.shape, b.shape)),
        _ => refuse("none".to_owned()),
    }
}
