//! From a model file to a decoder: tensor by tensor, checked for shape and for numbers that are none.

use std::sync::Arc;

use tunesmith_formats::TensorSource;
use tunesmith_ops::{Backend, Code, Error, Host, Result, Storage};

use crate::config::ModelConfig;
use crate::decoder::Decoder;
use crate::families::names;
use crate::layer::{Layer, Rotary};
use crate::linear::{Linear, Vector, Weight};
use crate::loss::Head;
use crate::norm::Norm;
use crate::parameters::{Group, ParameterSpec, Parameters};

/// Reads tensors into frozen weights, or into parameters when everything is trained.
pub struct Loader<'a, B: Backend> {
    backend: &'a B,
    source: &'a dyn TensorSource,
    train_all: bool,
    parameters: Parameters<B>,
    host: Vec<f32>,
    count: usize,
}

/// A loaded model.
pub struct Loaded<B: Backend> {
    /// The decoder.
    pub decoder: Decoder<B>,
    /// Trained tensors: every weight when everything is trained, else none yet.
    pub parameters: Parameters<B>,
    /// Numbers in the model.
    pub total_parameters: usize,
}

impl<'a, B: Backend> Loader<'a, B> {
    /// A loader from an opened model file. With `train_all` every tensor becomes a parameter.
    pub fn new(backend: &'a B, source: &'a dyn TensorSource, train_all: bool) -> Self {
        Self { backend, source, train_all, parameters: Parameters::default(), host: Vec::new(), count: 0 }
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
            weight: self.matrix(&format!("{module}.weight"), n, k)?,
            bias: if bias { Some(self.vector(&format!("{module}.bias"), n)?) } else { None },
            lora: None,
        })
    }

    /// The norm over rows of `d` of that name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn norm(&mut self, name: &str, d: usize, config: &ModelConfig) -> Result<Norm<B>> {
        Ok(Norm { d, eps: config.eps, offset: config.family.norm_offset, scale: self.vector(name, d)? })
    }

    fn matrix(&mut self, name: &str, n: usize, k: usize) -> Result<Weight<B>> {
        self.read(name, &[n, k])?;
        if self.train_all {
            return Ok(Weight::Trained(self.parameter(name, &[n, k], Group::Decay)?));
        }
        let host = Host::F32(&self.host);
        let weight = self.backend.prepare_weight(n, k, host, Storage::F32)?;
        Ok(Weight::Frozen(Arc::new(weight)))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Vector<B>> {
        self.read(name, &[len])?;
        if self.train_all {
            return Ok(Vector::Trained(self.parameter(name, &[len], Group::NoDecay)?));
        }
        Ok(Vector::Frozen(self.backend.upload(Host::F32(&self.host))?, len))
    }

    fn parameter(&mut self, name: &str, shape: &[usize], group: Group) -> Result<crate::parameters::ParameterId> {
        let spec = ParameterSpec { name: name.to_owned(), shape: shape.to_vec(), group };
        self.parameters.add(self.backend, spec, &self.host)
    }

    fn read(&mut self, name: &str, shape: &[usize]) -> Result<()> {
        let tensor = self.source.get(name)?;
        if tensor.shape != shape {
            return Err(Error::new(
                Code::FileInvalid,
                name,
                format!(
                    "expected shape {shape:?} by the configuration, got {:?}; config.json and weights do not belong together",
                    tensor.shape
                ),
            ));
        }
        tensor.to_f32(&mut self.host)?;
        if let Some(place) = self.host.iter().position(|value| !value.is_finite()) {
            return Err(Error::new(
                Code::NonFinite,
                name,
                format!(
                    "expected finite weights, got {} at element {place}; the file is damaged or was saved from a diverged run",
                    self.host[place]
                ),
            ));
        }
        self.count += self.host.len();
        Ok(())
    }
}
