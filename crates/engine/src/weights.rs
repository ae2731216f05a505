//! From a model file to a decoder: tensor by tensor, checked for shape and for numbers that are none.

use std::sync::Arc;

use tunesmith_formats::{StoredTensor, TensorSource};
use tunesmith_ops::{Backend, Code, DType, Error, Host, Result};

use crate::config::ModelConfig;
use crate::decoder::Decoder;
use crate::families::names;
use crate::layer::{Experts, Layer, Rotary};
use crate::linear::{Linear, Vector, Weight};
use crate::loss::Head;
use crate::norm::Norm;
use crate::parameters::{Group, ParameterSpec, Parameters};
use crate::quantize::{BaseOptions, QuantizationInfo, Quantizer};

/// Reads tensors into frozen weights, or into parameters when everything is trained.
pub struct Loader<'a, B: Backend> {
    backend: &'a B,
    source: &'a dyn TensorSource,
    train_all: bool,
    parameters: Parameters<B>,
    host: Vec<f32>,
    count: usize,
    base: &'a BaseOptions,
    quantizer: Quantizer<'a>,
}

/// A loaded model.
pub struct Loaded<B: Backend> {
    /// The decoder.
    pub decoder: Decoder<B>,
    /// Trained tensors: every weight when everything is trained, else none yet.
    pub parameters: Parameters<B>,
    /// Numbers in the model.
    pub total_parameters: usize,
    /// How the linear layers are quantised.
    pub quantization: Option<QuantizationInfo>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl<'a, B: Backend> Loader<'a, B> {
    /// A loader from an opened model file. With `train_all` every tensor becomes a parameter.
    pub fn new(backend: &'a B, source: &'a dyn TensorSource, train_all: bool, base: &'a BaseOptions) -> Self {
        let (parameters, host, quantizer) = (Parameters::default(), Vec::new(), Quantizer::new(source, base));
        Self { backend, source, train_all, parameters, host, count: 0, base, quantizer }
    }

    /// Loads the whole model.
    ///
    /// # Errors
    /// `FileInvalid` for a missing tensor or a wrong shape, `NonFinite` for NaN or infinity, `OutOfMemory`.
    pub fn load(mut self, config: ModelConfig) -> Result<Loaded<B>> {
        let (v, d) = (config.vocab, config.hidden);
        let embedding = self.matrix(names::EMBEDDING, v, d)?;
        let layers =
            (0..config.layers).map(|index| Layer::load(&mut self, &config, index)).collect::<Result<Vec<_>>>()?;
        let norm = self.norm(names::FINAL_NORM, d, &config)?;
        let head_name = format!("{}.weight", names::HEAD);
        let weight = if config.tied { embedding.clone() } else { self.matrix(&head_name, v, d)? };
        let linear = Linear { module: names::HEAD.to_owned(), n: v, k: d, weight, bias: None, lora: None };
        let rotations = config.rotations.iter();
        let rotations = rotations.map(|rotation| Rotary::new(self.backend, rotation)).collect::<Result<_>>()?;
        let head = Head { norm, linear, transform: config.logits };
        Ok(Loaded {
            decoder: Decoder { config, embedding, layers, head, rotations },
            parameters: self.parameters,
            total_parameters: self.count,
            quantization: self.quantizer.info(),
            warnings: self.quantizer.into_warnings(),
        })
    }

    /// The linear layer `[n, k]` of that name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn linear(&mut self, module: &str, n: usize, k: usize, bias: bool) -> Result<Linear<B>> {
        Ok(Linear {
            module: module.to_owned(),
            n,
            k,
            weight: self.projection(&format!("{module}.weight"), n, k)?,
            bias: if bias { Some(self.vector(&format!("{module}.bias"), n)?) } else { None },
            lora: None,
        })
    }

    /// The norm over rows of `d` of that name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn norm(&mut self, name: &str, d: usize, config: &ModelConfig) -> Result<Norm<B>> {
        let module = name.strip_suffix(".weight").unwrap_or(name).to_owned();
        let scale = self.vector(name, d)?;
        Ok(Norm { module, d, eps: config.eps, offset: config.family.norm_offset, scale })
    }

    /// The matrix of a linear layer: the kind that is held in four bits where the file or the options say so.
    fn projection(&mut self, name: &str, n: usize, k: usize) -> Result<Weight<B>> {
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
    /// As [`Self::load`].
    pub fn matrix(&mut self, name: &str, n: usize, k: usize) -> Result<Weight<B>> {
        if self.train_all {
            self.read(name, &[n, k])?;
            return Ok(Weight::Trained(self.parameter(name, &[n, k], Group::Decay)?));
        }
        let source = self.source;
        let tensor = shaped(source, name, &[n, k])?;
        let weight = if !self.backend.keeps_values() {
            self.count += n * k;
            self.backend.prepare_weight(n, k, Host::F32(&[]), self.base.storage)?
        } else if let Some(host) = tensor.host() {
            // Taken where it lies: only a few rows at a time are looked at as binary32.
            let step = (FINITE / k.max(1)).max(1);
            for first in (0..n).step_by(step) {
                tensor.rows_to_f32(first, step.min(n - first), &mut self.host)?;
                check_finite(name, first * k, &self.host)?;
            }
            self.count += n * k;
            self.backend.prepare_weight(n, k, host, self.base.storage)?
        } else {
            self.read(name, &[n, k])?;
            self.backend.prepare_weight(n, k, Host::F32(&self.host), self.base.storage)?
        };
        source.release(name);
        Ok(Weight::Frozen(Arc::new(weight)))
    }

    /// A matrix `[n, k]` of each expert, n the rows of all `parts` together: from one tensor `base.fused` of
    /// `[count, n, k]`, or, where the file has none, from `base.N.PART.weight` for every expert and part.
    ///
    /// # Errors
    /// As [`Self::load`].
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
                frozen.push(self.backend.prepare_weight(n, k, Host::F32(&matrix), self.base.storage)?);
            }
        }
        if !self.train_all {
            return Ok(Experts::Frozen(self.backend.stack_weights(n, k, frozen)?));
        }
        self.host = all;
        Ok(Experts::Trained(self.parameter(&fused, &[count, n, k], Group::Decay)?))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Vector<B>> {
        self.read(name, &[len])?;
        if self.train_all {
            return Ok(Vector::Trained(self.parameter(name, &[len], Group::NoDecay)?));
        }
        let vector = if self.backend.keeps_values() {
            self.backend.upload(Host::F32(&self.host))?
        } else {
            self.backend.zeros(DType::F32, len)?
        };
        Ok(Vector::Frozen(vector, len))
    }

    fn parameter(&mut self, name: &str, shape: &[usize], group: Group) -> Result<crate::parameters::ParameterId> {
        let spec = ParameterSpec { name: name.to_owned(), shape: shape.to_vec(), group };
        self.parameters.add(self.backend, spec, &self.host)
    }

    fn read(&mut self, name: &str, shape: &[usize]) -> Result<()> {
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

/// Elements that are checked at a time.
const FINITE: usize = 1 << 18;

/// The tensor of that name, whose shape the configuration gives.
///
/// # Errors
/// `FileInvalid` where it is absent or has another shape.
pub(crate) fn shaped<'a>(source: &'a dyn TensorSource, name: &str, shape: &[usize]) -> Result<StoredTensor<'a>> {
    let tensor = source.get(name)?;
    if tensor.shape == shape {
        return Ok(tensor);
    }
    Err(Error::new(
        Code::FileInvalid,
        name,
        format!(
            "expected shape {shape:?} by the configuration, got {:?}; config.json and weights do not belong together",
            tensor.shape
        ),
    ))
}

/// Refuses NaN and infinity in `values`, which begin at element `first` of the tensor.
///
/// # Errors
/// `NonFinite` names the first such element.
pub(crate) fn check_finite(name: &str, first: usize, values: &[f32]) -> Result<()> {
    let Some(place) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    Err(Error::new(
        Code::NonFinite,
        name,
        format!(
            "expected finite weights, got {} at element {}; the file is damaged or was saved from a diverged run",
            values[place],
            first + place
        ),
    ))
}
