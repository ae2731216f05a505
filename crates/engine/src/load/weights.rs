//! Tensors of a model file as the decoder holds them: frozen, quantized, or trained.

use std::collections::BTreeSet;
use std::sync::Arc;

use tunesmith_formats::{TensorSource, check_finite, is_rotary_buffer, nf4};
use tunesmith_ops::{Backend, DType, Host, Result, Storage};

use super::checked::{FINITE, shaped};
use super::options::WeightOptions;
use super::quantize::Quantizer;
use crate::config::ModelConfig;
use crate::families::names;
use crate::layer::{Experts, Linear, Norm, TokenEmbedding, Vector, Weight};
use crate::optimizer::{ParameterId, ParameterKind, ParameterSpec, Parameters};

/// A row of an embedding without a larger value was never trained (Unsloth's threshold).
const NOTHING: f32 = 1e-16;

/// Reads tensors into frozen weights, or into parameters when everything is trained.
pub struct Loader<'a, B: Backend> {
    backend: &'a B,
    source: &'a dyn TensorSource,
    train_all: bool,
    pub(super) parameters: Parameters<B>,
    host: Vec<f32>,
    pub(super) count: usize,
    /// Names that were asked for.
    used: BTreeSet<String>,
    storage: Storage,
    pub(super) quantizer: Quantizer<'a>,
}

impl<'a, B: Backend> Loader<'a, B> {
    /// A loader from an opened model file. With `train_all` every tensor becomes a parameter; `quantized` says that the file
    /// holds quantized matrices.
    pub fn new(
        backend: &'a B,
        source: &'a dyn TensorSource,
        train_all: bool,
        weights: &'a WeightOptions,
        quantized: bool,
    ) -> Self {
        let (storage, quantizer) = (weights.storage(quantized), Quantizer::new(source, weights));
        Self {
            backend,
            source,
            train_all,
            parameters: Parameters::default(),
            host: Vec::new(),
            count: 0,
            used: BTreeSet::new(),
            storage,
            quantizer,
        }
    }

    /// The linear layer `[n, k]` of that name.
    ///
    /// # Errors
    /// `FileInvalid` for a missing tensor or a wrong shape, `NonFinite` for NaN or infinity, `OutOfMemory`.
    pub fn linear(&mut self, module: &str, n: usize, k: usize, bias: bool) -> Result<Linear<B>> {
        Ok(Linear {
            module: module.to_owned(),
            n,
            k,
            weight: self.projection(&format!("{module}.weight"), n, k)?,
            bias: if bias { Some(self.vector(&format!("{module}.bias"), n)?) } else { None },
            lora: None,
            tokens: None,
        })
    }

    /// The token embedding.
    ///
    /// # Errors
    /// `FileInvalid` for a missing tensor or a wrong shape, `NonFinite` for NaN or infinity, `OutOfMemory`.
    pub fn embedding(&mut self, config: &ModelConfig) -> Result<TokenEmbedding<B>> {
        let (name, v, d) = (names::EMBEDDING, config.vocab, config.hidden);
        let module = name.strip_suffix(".weight").unwrap_or(name).to_owned();
        let table = self.matrix(name, v, d)?;
        Ok(TokenEmbedding { module, v, d, table, multiplier: config.embedding_scale, lora: None, tokens: None })
    }

    /// Tokens that the model was never trained with: their rows of the embedding hold nothing, or next to nothing. A table in blocks is
    /// not looked at.
    ///
    /// # Errors
    /// `FileInvalid` for a missing tensor or a wrong shape, `OutOfMemory`.
    pub fn untrained_tokens(&mut self, config: &ModelConfig) -> Result<Vec<u32>> {
        let (v, d) = (config.vocab, config.hidden);
        let tensor = shaped(self.source, names::EMBEDDING, &[v, d])?;
        if !self.backend.keeps_values() || tensor.host().is_none() {
            return Ok(Vec::new());
        }
        let step = (FINITE / d.max(1)).max(1);
        let mut found = Vec::new();
        for first in (0..v).step_by(step) {
            tensor.rows_to_f32(first, step.min(v - first), &mut self.host)?;
            let rows = self.host.chunks_exact(d).enumerate();
            let empty = rows.filter(|(_, row)| row.iter().all(|value| value.abs() <= NOTHING));
            found.extend(empty.map(|(row, _)| (first + row) as u32));
        }
        Ok(found)
    }

    /// The norm over rows of `d` of that name.
    ///
    /// # Errors
    /// `FileInvalid` for a missing tensor or a wrong shape, `NonFinite` for NaN or infinity, `OutOfMemory`.
    pub fn norm(&mut self, name: &str, d: usize, config: &ModelConfig) -> Result<Norm<B>> {
        let module = name.strip_suffix(".weight").unwrap_or(name).to_owned();
        let scale = self.vector(name, d)?;
        Ok(Norm { module, d, eps: config.eps, offset: config.family.norm_offset, scale })
    }

    /// Tensors of the file that nothing has asked for, sorted: neither weights nor what belongs to quantized ones.
    pub fn unused(&self) -> Vec<String> {
        let mut names = self.source.names();
        names.retain(|name| {
            !self.used.contains(name) && !is_rotary_buffer(name) && !nf4::is_companion(self.source, name)
        });
        names
    }

    /// The matrix of a linear layer: the kind that is held in four bits where the file or the options say so.
    fn projection(&mut self, name: &str, n: usize, k: usize) -> Result<Weight<B>> {
        self.used.insert(name.to_owned());
        match self.quantizer.weight(self.backend, name, [n, k], self.train_all)? {
            None => self.matrix(name, n, k),
            Some(weight) => {
                self.count += n * k;
                Ok(Weight::Frozen(Arc::new(weight)))
            }
        }
    }

    /// The matrix `[n, k]` of that name.
    ///
    /// # Errors
    /// `FileInvalid` for a missing tensor or a wrong shape, `NonFinite` for NaN or infinity, `OutOfMemory`.
    pub fn matrix(&mut self, name: &str, n: usize, k: usize) -> Result<Weight<B>> {
        if self.train_all {
            self.read(name, &[n, k])?;
            return Ok(Weight::Trained(self.parameter(name, &[n, k], ParameterKind::Decay)?));
        }
        let source = self.source;
        self.used.insert(name.to_owned());
        let tensor = shaped(source, name, &[n, k])?;
        let weight = if !self.backend.keeps_values() {
            self.count += n * k;
            self.backend.prepare_weight(n, k, Host::F32(&[]), self.storage)?
        } else if let Some(host) = tensor.host() {
            // Taken where it is: only a few rows at a time are looked at as float32.
            let step = (FINITE / k.max(1)).max(1);
            for first in (0..n).step_by(step) {
                tensor.rows_to_f32(first, step.min(n - first), &mut self.host)?;
                check_finite(name, first * k, &self.host)?;
            }
            self.count += n * k;
            self.backend.prepare_weight(n, k, host, self.storage)?
        } else {
            self.read(name, &[n, k])?;
            self.backend.prepare_weight(n, k, Host::F32(&self.host), self.storage)?
        };
        source.release(name);
        Ok(Weight::Frozen(Arc::new(weight)))
    }

    /// A matrix `[n, k]` of each expert, n the rows of all `parts` together: from one tensor `base.fused` of
    /// `[count, n, k]`, or, where the file has none, from `base.N.PART.weight` for every expert and part.
    ///
    /// # Errors
    /// `FileInvalid` for a missing tensor or a wrong shape, `NonFinite` for NaN or infinity, `OutOfMemory`.
    pub fn experts(
        &mut self,
        base: &str,
        fused: &str,
        parts: &[(&str, usize)],
        count: usize,
        k: usize,
    ) -> Result<Experts<B>> {
        let fused = format!("{base}.{fused}");
        let n = parts.iter().map(|(_, rows)| rows).sum();
        let together = self.source.contains(&fused);
        if together {
            self.read(&fused, &[count, n, k])?;
        }
        let whole = std::mem::take(&mut self.host);
        let (mut all, mut frozen) = (Vec::new(), Vec::with_capacity(count));
        for expert in 0..count {
            let mut matrix = Vec::new();
            if together && !self.backend.keeps_values() {
                // Nothing was read.
            } else if together {
                matrix.extend_from_slice(&whole[expert * n * k..(expert + 1) * n * k]);
            } else {
                for (part, rows) in parts {
                    let name = format!("{base}.{expert}.{part}.weight");
                    self.read(&name, &[*rows, k])?;
                    matrix.append(&mut self.host);
                    self.source.release(&name);
                }
            }
            if self.train_all {
                all.append(&mut matrix);
            } else {
                frozen.push(self.backend.prepare_weight(n, k, Host::F32(&matrix), self.storage)?);
            }
        }
        if !self.train_all {
            return Ok(Experts::Frozen(self.backend.stack_weights(n, k, frozen)?));
        }
        self.host = all;
        Ok(Experts::Trained(self.parameter(&fused, &[count, n, k], ParameterKind::Decay)?))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Vector<B>> {
        self.read(name, &[len])?;
        if self.train_all {
            return Ok(Vector::Trained(self.parameter(name, &[len], ParameterKind::NoDecay)?));
        }
        let vector = if self.backend.keeps_values() {
            self.backend.upload(Host::F32(&self.host))?
        } else {
            self.backend.zeros(DType::F32, len)?
        };
        Ok(Vector::Frozen(vector, len))
    }

    fn parameter(&mut self, name: &str, shape: &[usize], kind: ParameterKind) -> Result<ParameterId> {
        let spec = ParameterSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
            kind,
            transposed: false,
            experts: 0,
            scale: None,
        };
        self.parameters.add(self.backend, spec, &self.host)
    }

    fn read(&mut self, name: &str, shape: &[usize]) -> Result<()> {
        self.used.insert(name.to_owned());
        let tensor = shaped(self.source, name, shape)?;
        if !self.backend.keeps_values() {
            self.host.clear();
            self.count += shape.iter().product::<usize>();
            return Ok(());
        }
        tensor.to_f32(&mut self.host)?;
        self.source.release(name);
        check_finite(name, 0, &self.host)?;
        self.count += self.host.len();
        Ok(())
    }
}
